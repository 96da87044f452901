// Debian's Chromium, and a web page of another origin than Tailrace's, with the client in it.
import { build } from 'esbuild';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { existsSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';

export type BrowserProcess = Browser & AsyncDisposable;

export async function startBrowser(): Promise<BrowserProcess> {
  const executablePath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'chromium'))
    .find((file) => existsSync(file));
  if (executablePath === undefined)
    throw new Error('needs("chromium") says why this test is skipped');
  // Chromium's sandbox refuses to run for root, as whom containers run.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}

export interface OtherSite extends AsyncDisposable {
  readonly origin: string;
}

/** One page with test/browser/site.ts in it. */
export async function startOtherSite(): Promise<OtherSite> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'site.ts')],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  const script = outputFiles[0]?.text ?? '';
  const server = createServer((req, res) => {
    const isScript = req.url === '/site.js';
    res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    res.end(
      isScript
        ? script
        : '<!doctype html><title>shop</title><script type=module src=/site.js></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // An address of a listening TCP server is never a string.
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Every line that the page's console had as an error, and every exception. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}
