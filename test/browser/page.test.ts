// The page at `/` as a newcomer has it, on a server as `npm start` makes it.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import axe from 'axe-core';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { makeToken } from '../../src/rpc/edge/auth.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { startNats, temporaryFolder, type TestNats } from '../support/processes/nats.ts';
import { needs, notInCi } from '../support/needs.ts';
import { startTestTailrace, type TestTailrace } from '../support/processes/tailrace.ts';
import { type BrowserProcess, complaintsOf, startBrowser } from './browser.ts';

const WAIT_MS = 30_000;
const SCREENSHOTS = join(import.meta.dirname, '../../.cache/screenshots');

describe('the page at /', { skip: notInCi() || needs('chromium') }, () => {
  let nats: TestNats;
  let model: ModelServer;
  let tailrace: TestTailrace;
  let browser: BrowserProcess;

  before(async () => {
    nats = await startNats();
    model = await startModelServer();
    tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
    browser = await startBrowser();
    mkdirSync(SCREENSHOTS, { recursive: true });
  });

  after(async () => {
    await browser.close();
    await tailrace[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
    await nats[Symbol.asyncDispose]();
  });

  interface Visit extends AsyncDisposable {
    readonly page: Page;
    readonly complaints: readonly string[];
    readonly tab: () => Promise<Page>;
  }

  async function visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await browser.newContext({
      viewport: { width: 1000, height: 900 },
      ...options,
    });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    await page.goto(url);
    return {
      page,
      complaints,
      tab: () => context.newPage(),
      [Symbol.asyncDispose]: () => context.close(),
    };
  }

  async function start(page: Page, script: Parameters<typeof scripted>[0]): Promise<void> {
    await page.getByLabel('What shall the model answer?').fill(scripted(script));
    await page.keyboard.press('Control+Enter');
    await page.locator('#chat').waitFor();
  }

  const status = (page: Page, text: string) => page.locator('#status', { hasText: text }).waitFor();
  const answer = (page: Page) => page.locator('#answer').innerText();
  const someText = (page: Page) => page.locator('#answer .text').first().waitFor();

  async function assertAccessible(page: Page): Promise<void> {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => axe.run());
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
      [],
    );
  }

  test('a chat is started with the keyboard alone, and its tokens are seen as they come', async (t) => {
    await using visited = await visit(tailrace.url);
    const { page, complaints } = visited;
    tellFirstPaint(t, await firstPaintMs(page));
    await start(page, { text: ['A river ', 'runs to ', 'the sea.'], interval_ms: 50 });
    await status(page, 'completed');
    assert.equal(await answer(page), 'A river runs to the sea.');
    assert.match(await page.locator('#facts').innerText(), /verified/);
    assert.match(page.url(), /\/#[0-9a-f-]{36}$/);
    // Nor does the strict policy refuse anything that the page needs.
    assert.deepEqual(complaints, []);
  });

  test('another tab with the link sees the same, while it runs and after', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { tokens: 120, interval_ms: 20 });
    await someText(page);
    const running = await visited.tab();
    await running.goto(page.url());
    await someText(running);
    await Promise.all([status(page, 'completed'), status(running, 'completed')]);
    const later = await visited.tab();
    await later.goto(page.url());
    await status(later, 'completed');
    const text = await answer(page);
    assert.ok(text.length > 100);
    assert.equal(await answer(running), text);
    assert.equal(await answer(later), text);
  });

  test('an id that was copied is watched in another tab by being put in there', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { text: ['A river ', 'runs to ', 'the sea.'] });
    await status(page, 'completed');
    const id = await page.locator('#chat-id').innerText();
    const other = await visited.tab();
    await other.goto(tailrace.url);
    await other.getByLabel('by its id').fill(` ${id} `);
    await other.keyboard.press('Enter');
    await status(other, 'completed');
    assert.equal(await answer(other), 'A river runs to the sea.');
    await other.getByLabel('by its id').fill(id);
    await other.keyboard.press('Enter');
    await other.locator('#status', { hasText: 'completed' }).waitFor();
    assert.equal(await answer(other), 'A river runs to the sea.');
  });

  test('the network is cut, and the answer goes on where it was', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { tokens: 300, interval_ms: 30 });
    await someText(page);
    await page.getByRole('button', { name: 'Cut the network' }).click();
    await page.getByText('connection lost').first().waitFor();
    await status(page, 'completed');
    assert.match(await page.locator('#facts').innerText(), /Times resumed\s+1/);
    assert.match(await page.locator('#facts').innerText(), /verified/);
  });

  test('a chat is cancelled', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { tokens: 10_000, interval_ms: 20 });
    await someText(page);
    await page.getByRole('button', { name: 'Cancel the chat' }).click();
    await status(page, 'cancelled');
  });

  test('the back button leads out of a chat again, with the title that the page had', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    const title = await page.title();
    await start(page, { tokens: 3 });
    await status(page, 'completed');
    assert.match(await page.title(), /^[0-9a-f-]{36} · /);
    await page.goBack();
    await page.locator('#chat').waitFor({ state: 'hidden' });
    assert.equal(await page.title(), title);
  });

  test('all of an answer is printed, and what is right to left stands so', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { text: ['\u0646\u0647\u0631\n', ...Array<string>(400).fill('line\n')] });
    await status(page, 'completed');
    await page.emulateMedia({ media: 'print' });
    const answerBox = page.locator('#answer');
    assert.equal(await answerBox.evaluate((box) => box.scrollHeight > box.clientHeight), false);
    assert.ok(await page.locator('#start-form').isHidden());
    const direction = "getComputedStyle(document.querySelector('#answer .text span')).unicodeBidi";
    assert.equal(await page.evaluate(direction), 'plaintext');
  });

  test('a browser that keeps nothing has the page all the same', async () => {
    await using visited = await visit('about:blank');
    const { page } = visited;
    // As Chromium does where cookies are blocked.
    await page.addInitScript(() => {
      Object.defineProperty(globalThis, 'sessionStorage', {
        get: () => {
          throw new DOMException('denied', 'SecurityError');
        },
      });
    });
    await page.goto(tailrace.url);
    await start(page, { tokens: 3 });
    await status(page, 'completed');
  });

  test('an id that is not there, and a broken link, are said so, with what to do and no room for an answer', async () => {
    await using visited = await visit(tailrace.url);
    const { page } = visited;
    await start(page, { tokens: 10_000, interval_ms: 20 });
    await someText(page);
    await page.goto(`${tailrace.url}/#nobody-s`);
    await page.getByText('There is no chat stream "nobody-s". It was deleted, ').waitFor();
    assert.ok(await page.locator('#answer').isHidden());
    assert.ok(await page.locator('#facts').isHidden());
    assert.equal(await page.locator('#answer').getAttribute('aria-busy'), 'false');
    await assertAccessible(page);
    await page.screenshot({ path: join(SCREENSHOTS, 'no-chat.png'), fullPage: true });
  });

  test('on a phone nothing is wider than the screen, and axe-core finds nothing', async () => {
    const viewport = { width: 320, height: 640 };
    await using visited = await visit(tailrace.url, { viewport, isMobile: true, hasTouch: true });
    const { page } = visited;
    await start(page, { text: ['word'.repeat(40), ' and more'], interval_ms: 20 });
    await status(page, 'completed');
    await page.locator('#recent-list li', { hasText: 'completed' }).first().waitFor();
    const wide = await page.evaluate('document.documentElement.scrollWidth');
    assert.equal(wide, viewport.width);
    await assertAccessible(page);
    await page.screenshot({ path: join(SCREENSHOTS, 'phone.png'), fullPage: true });
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`${colorScheme}: axe-core finds nothing, before, during and after a chat`, async () => {
      await using visited = await visit(tailrace.url, { colorScheme });
      const { page } = visited;
      await page.locator('#model option').first().waitFor({ state: 'attached' });
      await assertAccessible(page);
      await start(page, {
        thinking: 5,
        text: 'A river begins as a spring and ends in the sea. '.repeat(12).split(/(?= )/),
        interval_ms: 15,
      });
      await page.locator('#answer > .text').first().waitFor();
      await assertAccessible(page);
      await page.screenshot({ path: join(SCREENSHOTS, `running-${colorScheme}.png`) });
      await status(page, 'completed');
      await page.locator('#events summary').click();
      await assertAccessible(page);
      await page.screenshot({
        path: join(SCREENSHOTS, `ended-${colorScheme}.png`),
        fullPage: true,
      });
    });
  }

  test('where the server wants tokens the page asks for one, and keeps it in the tab', async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'tokens');
    const { token, line } = makeToken('acme');
    writeFileSync(file, `${line}\n`);
    await using guarded = await startTestTailrace(nats.access, {
      OPENAI_BASE_URL: model.url,
      TAILRACE_TOKENS_FILE: file,
    });
    await using visited = await visit(guarded.url);
    const { page } = visited;
    await page.getByLabel('This server wants a token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.locator('#start-error', { hasText: 'token' }).waitFor();
    await page.getByLabel('This server wants a token').fill(token);
    await page.keyboard.press('Enter');
    await page.locator('#token-form').waitFor({ state: 'hidden' });
    await start(page, { tokens: 3 });
    await status(page, 'completed');
    await page.reload();
    await status(page, 'completed');
    assert.equal(await page.evaluate(() => localStorage.length), 0);
  });
});

async function firstPaintMs(page: Page): Promise<number> {
  const found = await page.waitForFunction(
    () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
  );
  return found.evaluate((ms) => ms ?? 0);
}

/** Said and not asserted: it says as much about the machine as about the page. */
function tellFirstPaint(t: TestContext, ms: number): void {
  t.diagnostic(`first contentful paint after ${Math.round(ms)} ms`);
}
