// A collector of traces for tests: takes OTLP over HTTP as JSON, by any path that ends as the protocol says,
// or takes requests and never answers them.
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { until } from '../until.ts';

export interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it is the first of its trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** As the protocol numbers them: 1 internal, 2 server, 3 client, 5 consumer. */
  readonly kind: number;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly bodies: readonly string[];
  readonly contentTypes: ReadonlySet<string>;
  readonly spans: readonly SeenSpan[];
  /** The first span that fits, once it is there. */
  readonly span: (what: string, fits: (span: SeenSpan) => boolean) => Promise<SeenSpan>;
  /** Requests that wait for an answer. */
  readonly held: () => number;
}

interface WireValue {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly WireValue[] };
}

interface WireField {
  readonly key: string;
  readonly value: WireValue;
}

interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status?: { readonly code?: number };
  readonly attributes?: readonly WireField[];
}

interface WireBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly WireField[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

const STATUS_ERROR = 2;

export async function startCollector(
  options: { readonly hangs?: boolean } = {},
): Promise<Collector> {
  const bodies: string[] = [];
  const spans: SeenSpan[] = [];
  const contentTypes = new Set<string>();
  let held = 0;
  const take = async (req: IncomingMessage): Promise<void> => {
    const body = await text(req);
    const type = req.headers['content-type'] ?? '';
    contentTypes.add(type);
    bodies.push(body);
    if (type === 'application/json') spans.push(...spansIn(JSON.parse(body) as WireBody));
  };
  const server = createServer((req, res) => {
    void take(req).then(() => {
      if (options.hangs === true) held++;
      else res.writeHead(req.url?.endsWith('/v1/traces') === true ? 200 : 404).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    contentTypes,
    spans,
    span: (what, fits) => until(`a span: ${what}`, () => spans.find(fits)),
    held: () => held,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function spansIn({ resourceSpans }: WireBody): SeenSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        kind: span.kind,
        failed: span.status?.code === STATUS_ERROR,
        attributes: fieldsIn(span.attributes ?? []),
        resource: fieldsIn(resource.attributes),
      })),
    ),
  );
}

function fieldsIn(fields: readonly WireField[]): Record<string, unknown> {
  return Object.fromEntries(fields.map(({ key, value }) => [key, valueIn(value)]));
}

function valueIn(value: WireValue): unknown {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(valueIn);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.doubleValue;
}
