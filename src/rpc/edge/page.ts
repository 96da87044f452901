// The page at `/` for people with a browser: a few files that set-up has made, held in memory, under a policy that lets
// nothing run or load but them. Who does not ask for HTML gets the text of plain-answers.ts.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { HttpRequest, HttpResponse } from './listener.ts';

/** File and type by path. */
const FILES: Readonly<Record<string, readonly [string, string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/page/icon.svg': ['icon.svg', 'image/svg+xml'],
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

interface PageFile {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly gzipped: Buffer;
}

export type Page = ReadonlyMap<string, PageFile>;

/** Out of the folder that set-up made. */
export async function readPage(folder: string): Promise<Page> {
  const files = Object.entries(FILES).map(async ([path, [name, type]]) => {
    const plain = await readFile(join(folder, name));
    const etag = `"${createHash('sha256').update(plain).digest('base64url')}"`;
    return [path, { type, etag, plain, gzipped: gzipSync(plain) }] as const;
  });
  return new Map(await Promise.all(files));
}

/** False: it is not a file of the page that is asked for. */
export function servePage(page: Page, req: HttpRequest, res: HttpResponse): boolean {
  if (req.method !== 'GET' && req.method !== 'HEAD') return false;
  const path = (req.url ?? '').split('?', 1)[0] ?? '';
  const file = page.get(path);
  if (file === undefined) return false;
  // Of `/` there are two kinds, and a cache must not give one for the other.
  res.setHeader('vary', path === '/' ? 'Accept, Accept-Encoding' : 'Accept-Encoding');
  if (path === '/' && !(req.headers.accept ?? '').includes('text/html')) return false;
  res.setHeader('content-security-policy', POLICY);
  res.setHeader('x-content-type-options', 'nosniff');
  res.setHeader('referrer-policy', 'no-referrer');
  res.setHeader('cross-origin-opener-policy', 'same-origin');
  res.setHeader('cache-control', 'no-cache');
  res.setHeader('etag', file.etag);
  if (req.headers['if-none-match'] === file.etag) {
    res.writeHead(304);
    res.end();
    return true;
  }
  res.setHeader('content-type', file.type);
  const zipped = (req.headers['accept-encoding'] ?? '').includes('gzip');
  const body = zipped ? file.gzipped : file.plain;
  if (zipped) res.setHeader('content-encoding', 'gzip');
  res.writeHead(200, { 'content-length': body.length });
  if (req.method === 'HEAD') res.end();
  else res.end(body);
  return true;
}
