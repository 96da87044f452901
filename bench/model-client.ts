// What a token costs between the model server's socket and the sink: CPU of this process for each
// token, and its age on arrival. Beside it a bare node:http reader of the same streams, which looks
// at nothing: the ratio is the cost of understanding. The model server is a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { create } from '@bufbuild/protobuf';
import { ChatRequestSchema } from '../gen/tailrace/v1/chat_request_pb.ts';
import { MessageSchema, Role } from '../gen/tailrace/v1/content_pb.ts';
import { untracedSpan } from '../src/chat/ports/span.ts';
import { traceparentOf } from '../src/chat/trace.ts';
import { createRegistry } from '../src/model/registry.ts';
import { oneServer } from '../src/model/settings/registry-spec.ts';

interface Load {
  readonly chats: number;
  readonly tokens: number;
  readonly interval_ms: number;
}
interface Result {
  readonly cpuMicrosPerToken: number;
  readonly ageMs: readonly [p50: number, p99: number];
}
/** Reads one chat to its end; calls `token` with each delta's text where it understands it. */
type Reader = (script: string, token: (text: string) => void) => Promise<void>;

const LOADS: readonly Load[] = [
  { chats: 1, tokens: 200, interval_ms: 20 },
  { chats: 50, tokens: 200, interval_ms: 20 },
  { chats: 400, tokens: 150, interval_ms: 28 },
];

const server = spawn(
  process.execPath,
  [join(import.meta.dirname, '../test/model-server/main.ts')],
  { stdio: ['pipe', 'pipe', 'inherit'] },
);
const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
const { url } = JSON.parse(line) as { readonly url: string };

const agent = new Agent({ keepAlive: true });
const client = createRegistry(oneServer({ baseUrl: url }));
const sdk = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
const never = new AbortController().signal;

const raw: Reader = (script) =>
  new Promise((resolve, reject) => {
    const outgoing = request(`${url}/chat/completions`, { method: 'POST', agent }, (incoming) => {
      incoming.on('data', () => {});
      incoming.on('end', resolve);
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(
      JSON.stringify({
        model: 'test-model',
        messages: [{ role: 'user', content: script }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
  });

const ours: Reader = async (script, token) => {
  const content = [{ block: { case: 'text' as const, value: script } }];
  const call = {
    model: 'test-model',
    request: create(ChatRequestSchema),
    messages: [create(MessageSchema, { role: Role.USER, content })],
    tenant: 'default',
    createdAtMs: Date.now(),
    turn: 1,
    correlationId: 'bench',
    answeredBy: undefined,
    tools: [],
    toolChoice: undefined,
    span: untracedSpan(traceparentOf(null)),
    limits: { firstTokenTimeoutMs: 60_000, idleTimeoutMs: 60_000, outputTokens: undefined },
  };
  const sink = {
    text: token,
    thinking() {},
    signature() {},
    toolUse() {},
    toolInput() {},
    usage() {},
    warning() {},
    pressure: () => undefined,
  };
  await client.generate(call, sink, never);
};

const plainSdk: Reader = async (script, token) => {
  const stream = await sdk.chat.completions.create({
    model: 'test-model',
    messages: [{ role: 'user', content: script }],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta.content ?? '';
    if (text !== '') token(text);
  }
};

async function measure(read: Reader, load: Load): Promise<Result> {
  const script = JSON.stringify({ tokens: load.tokens, interval_ms: load.interval_ms });
  const ages: number[] = [];
  const token = (text: string): void => {
    const sentMicros = Number(text.slice(text.indexOf(':') + 1));
    ages.push(performance.timeOrigin + performance.now() - sentMicros / 1_000);
  };
  const before = process.cpuUsage();
  // Spread over one interval, as chats in life are: together they would come in bursts.
  const chats = Array.from({ length: load.chats }, async (_, i) => {
    await new Promise((resolve) => setTimeout(resolve, (i / load.chats) * load.interval_ms * 4));
    await read(script, token);
  });
  await Promise.all(chats);
  const { user, system } = process.cpuUsage(before);
  const sorted = ages.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    cpuMicrosPerToken: (user + system) / (load.chats * load.tokens),
    ageMs: [at(0.5), at(0.99)],
  };
}

const readers = { 'raw node:http': raw, 'model client': ours, 'openai SDK, plain': plainSdk };
for (const read of Object.values(readers)) {
  await measure(read, { chats: 50, tokens: 100, interval_ms: 2 });
}
const rows: Record<string, string>[] = [];
for (const load of LOADS) {
  let base = Number.NaN;
  for (const [name, read] of Object.entries(readers)) {
    const { cpuMicrosPerToken, ageMs } = await measure(read, load);
    if (read === raw) base = cpuMicrosPerToken;
    rows.push({
      reader: name,
      chats: String(load.chats),
      'tokens/s': String(Math.round((load.chats * 1_000) / load.interval_ms)),
      'CPU µs/token': cpuMicrosPerToken.toFixed(1),
      'ratio to raw': (cpuMicrosPerToken / base).toFixed(2),
      'age p50 ms': ageMs[0].toFixed(2),
      'age p99 ms': ageMs[1].toFixed(2),
    });
  }
}
console.table(rows);
agent.destroy();
client.close();
server.stdin.end();
