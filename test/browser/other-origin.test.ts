// The client in a real browser, in a page of another origin, over both protocols that browsers can speak.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { startNats, type TestNats } from '../support/processes/nats.ts';
import { needs, notInCi } from '../support/needs.ts';
import { type Proxy, startProxy } from '../support/processes/proxy.ts';
import { startTestTailrace, type TestTailrace } from '../support/processes/tailrace.ts';
import { type BrowserProcess, type OtherSite, startBrowser, startOtherSite } from './browser.ts';
import type { Seen } from './site.ts';

const WAIT = { timeout: 30_000 };

describe('the client in a browser', { skip: notInCi() || needs('chromium') }, () => {
  let nats: TestNats;
  let model: ModelServer;
  let site: OtherSite;
  let tailrace: TestTailrace;
  let proxy: Proxy;
  let browser: BrowserProcess;

  before(async () => {
    nats = await startNats();
    model = await startModelServer();
    site = await startOtherSite();
    tailrace = await startTestTailrace(nats.access, {
      OPENAI_BASE_URL: model.url,
      TAILRACE_CORS_ORIGINS: site.origin,
      TAILRACE_HEARTBEAT_MS: '1000',
    });
    proxy = await startProxy(tailrace.url);
    browser = await startBrowser();
  });

  after(async () => {
    await browser.close();
    await proxy[Symbol.asyncDispose]();
    await tailrace[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
    await nats[Symbol.asyncDispose]();
  });

  async function openShop(
    protocol: 'Connect' | 'gRPC-Web',
    silenceMs = 40_000,
  ): Promise<Page & AsyncDisposable> {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site.origin);
    await page.waitForFunction(() => 'shop' in globalThis);
    const given = [protocol, proxy.url, silenceMs] as const;
    await page.evaluate(([how, url, ms]) => shop.open(how, url, ms), given);
    return Object.assign(page, { [Symbol.asyncDispose]: () => context.close() });
  }

  async function startAndWatch(page: Page, tokens: number): Promise<string> {
    const prompt = scripted({ tokens, interval_ms: 20 });
    const streamId = await page.evaluate((text) => shop.start(text), prompt);
    await page.evaluate((id) => shop.watch(id), streamId);
    return streamId;
  }

  async function seenAtEnd(page: Page): Promise<Seen> {
    await page.waitForFunction(() => shop.seen.over !== undefined, null, WAIT);
    return page.evaluate(() => shop.seen);
  }

  /** Everything once, in order, to the end, and proven. */
  function assertWhole(seen: Seen, status: string): void {
    assert.equal(seen.over, '');
    assert.deepEqual(
      seen.sequences,
      seen.sequences.map((_, at) => at + 1),
    );
    assert.equal(seen.status, status);
    assert.ok(seen.verified);
  }

  const textSeen = (page: Page) => page.waitForFunction(() => shop.seen.text !== '', null, WAIT);
  const attachedTwice = (page: Page) =>
    page.waitForFunction(
      () => shop.seen.kinds.filter((kind) => kind === 'attached').length > 1,
      null,
      WAIT,
    );
  const contextOf = (page: Page): BrowserContext => page.context();

  for (const protocol of ['Connect', 'gRPC-Web'] as const) {
    test(`${protocol}: starts a chat and watches it to its end`, async () => {
      await using page = await openShop(protocol);
      await startAndWatch(page, 20);
      assertWhole(await seenAtEnd(page), 'COMPLETED');
    });

    test(`${protocol}: errors come with their reason through CORS`, async () => {
      await using page = await openShop(protocol);
      assert.equal(await page.evaluate(() => shop.reasonOf('nobody-s')), 'STREAM_NOT_FOUND');
    });

    test(`${protocol}: the network goes and comes back: it resumes by itself`, async (t) => {
      await using page = await openShop(protocol);
      await startAndWatch(page, 150);
      await textSeen(page);
      await contextOf(page).setOffline(true);
      proxy.cut();
      await page.waitForFunction(() => shop.seen.kinds.includes('reconnecting'), null, WAIT);
      await contextOf(page).setOffline(false);
      await attachedTwice(page);
      const seen = await seenAtEnd(page);
      assertWhole(seen, 'COMPLETED');
      t.diagnostic(`resumed after ${seen.resumeMs.map(Math.round).join(', ')} ms`);
    });

    test(`${protocol}: a connection cut in the middle is resumed`, async (t) => {
      await using page = await openShop(protocol);
      await startAndWatch(page, 100);
      await textSeen(page);
      proxy.cut();
      const seen = await seenAtEnd(page);
      assertWhole(seen, 'COMPLETED');
      assert.ok(seen.kinds.includes('reconnecting'));
      t.diagnostic(`resumed after ${seen.resumeMs.map(Math.round).join(', ')} ms`);
    });

    test(`${protocol}: a tab that was frozen while its connection died goes on when it is shown`, async () => {
      await using page = await openShop(protocol);
      const cdp = await contextOf(page).newCDPSession(page);
      const streamId = await startAndWatch(page, 150);
      await textSeen(page);
      await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
      // Neither side hears that it is over.
      proxy.drop();
      const direct = await fetch(
        `${tailrace.url}/tailrace.v1.ChatStreamService/WaitChatStream?encoding=json&message=${encodeURIComponent(JSON.stringify({ streamId }))}`,
      );
      assert.match(await direct.text(), /CHAT_STREAM_STATUS_COMPLETED/);
      proxy.cut();
      proxy.pass();
      await cdp.send('Page.setWebLifecycleState', { state: 'active' });
      const seen = await seenAtEnd(page);
      assertWhole(seen, 'COMPLETED');
    });

    test(`${protocol}: a silent connection is given up and resumed`, async () => {
      await using page = await openShop(protocol, 4_000);
      await startAndWatch(page, 100);
      await textSeen(page);
      // What is on its way is lost, and nothing says so; new connections are well.
      proxy.drop('down');
      await page.waitForFunction(() => shop.seen.kinds.includes('reconnecting'), null, WAIT);
      proxy.cut();
      proxy.pass();
      assertWhole(await seenAtEnd(page), 'COMPLETED');
    });

    test(`${protocol}: a machine that slept resumes at once when its tab is shown`, async () => {
      await using page = await openShop(protocol);
      await startAndWatch(page, 100);
      await textSeen(page);
      proxy.drop('down');
      // The clock on the wall went on while timers stood still, as it does when a lid is closed and opened.
      await page.evaluate(`
        const now = Date.now;
        Date.now = () => now() + 35_000;
        document.dispatchEvent(new Event('visibilitychange'));
      `);
      await page.waitForFunction(() => shop.seen.kinds.includes('reconnecting'), null, WAIT);
      proxy.cut();
      proxy.pass();
      assertWhole(await seenAtEnd(page), 'COMPLETED');
    });

    test(`${protocol}: cancels, and sees the cancelled end`, async () => {
      await using page = await openShop(protocol);
      const streamId = await startAndWatch(page, 10_000);
      await textSeen(page);
      await page.evaluate((id) => shop.cancel(id), streamId);
      assertWhole(await seenAtEnd(page), 'CANCELLED');
    });
  }
});
