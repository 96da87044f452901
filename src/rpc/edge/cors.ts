// Which web pages may call from browsers. Tokens travel in a header that pages set themselves, so
// credentials are never allowed and `*` is as good as a list where every caller needs a token.
import { cors } from '@connectrpc/connect';
import { MAX_TOLD_ORIGIN_CHARS, MAX_TOLD_ORIGINS } from '../../chat/limits.ts';
import type { HttpRequest, HttpResponse } from './listener.ts';

const ALLOWED_METHODS = cors.allowedMethods.join(', ');
const ALLOWED_HEADERS = [...cors.allowedHeaders, 'Authorization', 'Traceparent'].join(', ');
const EXPOSED_HEADERS = cors.exposedHeaders.join(', ');
const PREFLIGHT_FRESH_S = 7_200;

/** Sets what the answer needs. True: it was a preflight and is answered. */
export function applyCors(
  req: HttpRequest,
  res: HttpResponse,
  origins: readonly string[],
  refused: (origin: string) => void,
): boolean {
  const origin = req.headers['origin'];
  const asked = req.headers['access-control-request-method'];
  const preflight = req.method === 'OPTIONS' && origin !== undefined && asked !== undefined;
  if (origins.length === 0 && !preflight) return false;
  res.setHeader(
    'vary',
    preflight ? 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' : 'Origin',
  );
  const any = origins.includes('*');
  const allowed = typeof origin === 'string' && (any || origins.includes(origin));
  if (allowed) {
    res.setHeader('access-control-allow-origin', any ? '*' : origin);
    res.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
  }
  if (!preflight) return false;
  if (allowed) {
    res.setHeader('access-control-allow-methods', ALLOWED_METHODS);
    res.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
    res.setHeader('access-control-max-age', String(PREFLIGHT_FRESH_S));
    res.writeHead(204);
    res.end();
  } else {
    refused(origin);
    res.writeHead(403, { 'content-type': 'text/plain; charset=utf-8' });
    res.end('This origin is not in TAILRACE_CORS_ORIGINS.\n');
  }
  return true;
}

/** The page's own console does not say why: the operator is told, of each origin once. */
export function tellOnce(tell: (origin: string) => void): (origin: string) => void {
  const told = new Set<string>();
  return (origin) => {
    if (told.size >= MAX_TOLD_ORIGINS || told.has(origin)) return;
    told.add(origin);
    tell(origin.slice(0, MAX_TOLD_ORIGIN_CHARS));
  };
}
