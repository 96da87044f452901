// Bodies that nobody would send: random bytes, and valid requests broken at random. A seed repeats them.
import type { DescMethod, JsonValue } from '@bufbuild/protobuf';
import { fromJson, toBinary } from '@bufbuild/protobuf';
import { gzipSync } from 'node:zlib';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Random } from '../chaos/random.ts';
import { randomOf } from '../chaos/random.ts';

export interface FuzzCall {
  readonly method: DescMethod;
  readonly contentType: string;
  /** Messages come in frames of five bytes and the message. */
  readonly framed: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** How the body was made, for a report. */
  readonly how: string;
}

/** Requests that are right, as JSON; most of what the contract has is in one of them. */
const RIGHT: Readonly<Record<string, readonly object[]>> = {
  InitiateChatStream: [
    { request: { messages: [{ role: 'ROLE_USER', content: [{ text: 'hi' }] }] } },
    {
      streamId: 'fuzz',
      ttl: '60s',
      request: {
        messages: [
          { role: 'ROLE_USER', content: [{ text: 'a' }, { text: 'é🙂' }] },
          { role: 'ROLE_ASSISTANT', content: [{ text: 'b' }] },
          { role: 'ROLE_USER', content: [{ text: 'c' }] },
        ],
        model: 'test-model',
        stream: false,
        priority: 3,
        seed: '7',
        temperature: 0.5,
        topK: 5,
        maxTokens: 9,
        stop: ['END'],
        correlationId: 'trace',
        metadata: { a: 'b', c: 'd' },
        system: { text: 'Be brief.' },
      },
    },
    {
      awaitToolResults: true,
      request: {
        messages: [
          {
            role: 'ROLE_USER',
            content: [
              { image: { data: 'iVBORw0KGgo=', mediaType: 'image/png' } },
              { document: { title: 't', text: 'words' } },
            ],
          },
        ],
        tools: [{ client: { name: 'f', description: 'd', inputSchema: '{"type":"object"}' } }],
        toolChoice: { mode: 'TOOL_CHOICE_MODE_AUTO', parallel: false },
        responseFormat: { jsonSchema: { name: 'n', schema: '{"type":"object"}', strict: true } },
        thinking: { enabled: true, effort: 'THINKING_EFFORT_LOW' },
        limits: { runTimeout: '9s', maxTurns: 3 },
        toolContext: [{ name: 'x', data: '{}' }],
        mcpServers: [{ name: 'm', url: 'http://127.0.0.1:1/', bearerToken: 't' }],
      },
    },
  ],
  ObserveChatStream: [{ streamId: 'fuzz', afterSequence: 3 }],
  GetChatStream: [{ streamId: 'fuzz', view: 'CHAT_STREAM_VIEW_FULL' }],
  // Of no chat: one that is waited for would hold its place in the fuzz.
  WaitChatStream: [{ streamId: 'none-such', timeout: '0s' }],
  ListChatStreams: [
    { pageSize: 5, statuses: ['CHAT_STREAM_STATUS_PENDING'], metadata: { a: 'b' } },
  ],
  CancelChatStream: [{ streamId: 'fuzz-none', reason: 'why' }],
  DeleteChatStream: [{ streamId: 'fuzz-none' }],
  SubmitToolResults: [
    { streamId: 'fuzz', results: [{ toolUseId: 'u', content: [{ text: 'r' }], isError: false }] },
  ],
  ListModels: [{}],
};

const UNARY = ['application/json', 'application/proto'] as const;
const STREAM = ['application/connect+json', 'application/connect+proto'] as const;
const GRPC = [
  'application/grpc',
  'application/grpc+proto',
  'application/grpc+json',
  'application/grpc-web+proto',
  'application/grpc-web+json',
] as const;

const FRAME_BYTES = 5;
const MAX_RANDOM_BYTES = 2_048;

export function fuzzCall(seed: number, n: number): FuzzCall {
  const random = randomOf(seed, `call ${n}`);
  const method = random.pick(ChatStreamService.methods);
  const own = method.methodKind === 'unary' ? UNARY : STREAM;
  const contentType = random.pick([...own, ...own, ...GRPC]);
  const framed = !UNARY.some((type) => type === contentType);
  const json = contentType.endsWith('json');
  const right = encoded(method, json, random);
  const broken = brokenMessage(right, json, random);
  const compressed = random.chance(0.05);
  const message = compressed && random.chance(0.5) ? gzipSync(broken.message) : broken.message;
  return {
    method,
    contentType,
    framed,
    headers: compressed ? encodingHeader(contentType) : {},
    body: framed ? frameOf(message, compressed, random) : message,
    how: broken.how,
  };
}

function encoded(method: DescMethod, json: boolean, random: Random): Buffer {
  const right = random.pick(RIGHT[method.name] ?? [{}]);
  if (json) return Buffer.from(JSON.stringify(right));
  const message = fromJson(method.input, JSON.parse(JSON.stringify(right)) as JsonValue);
  return Buffer.from(toBinary(method.input, message));
}

function brokenMessage(
  right: Buffer,
  json: boolean,
  random: Random,
): { readonly message: Buffer; readonly how: string } {
  const at = (): number => random.whole(0, right.length);
  const message = Buffer.from(right);
  switch (random.whole(0, 7)) {
    case 0:
      return { message: bytes(random.whole(0, MAX_RANDOM_BYTES), random), how: 'random' };
    case 1:
      for (let i = random.whole(1, 8); i > 0 && message.length > 0; i--) {
        const where = random.whole(0, message.length - 1);
        message[where] = (message[where] ?? 0) ^ (1 << random.whole(0, 7));
      }
      return { message, how: 'bits flipped' };
    case 2:
      return { message: message.subarray(0, at()), how: 'cut' };
    case 3: {
      const from = at();
      const piece = bytes(random.whole(1, 64), random);
      const parts = [message.subarray(0, from), piece, message.subarray(from)];
      return { message: Buffer.concat(parts), how: 'bytes put in' };
    }
    case 4: {
      const [from = 0, to = 0] = [at(), at()].toSorted((a, b) => a - b);
      const piece = message.subarray(from, to);
      const times = Array.from({ length: random.whole(1, 20) }, () => piece);
      const parts = [message.subarray(0, from), ...times, message.subarray(to)];
      return { message: Buffer.concat(parts), how: 'a piece again' };
    }
    case 5:
      return json
        ? { message: Buffer.from(JSON.stringify(value(random, 0))), how: 'any JSON' }
        : { message: wireNoise(random, 0), how: 'any fields' };
    case 6: {
      const depth = random.whole(1, 5_000);
      const open = json ? '['.repeat(depth) : '\x0b'.repeat(depth);
      return { message: Buffer.from(open), how: 'deep' };
    }
    default:
      return { message, how: 'right' };
  }
}

function bytes(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => random.whole(0, 255)));
}

const WORDS = ['request', 'messages', 'role', 'content', 'text', 'streamId', 'limits', '__proto__'];

function value(random: Random, depth: number): unknown {
  const kind = random.whole(0, depth > 5 ? 4 : 6);
  switch (kind) {
    case 0:
      return random.pick([0, -1, 1e308, 2 ** 53, 0.1]);
    case 1:
      return random.pick([
        '',
        'NaN',
        'Infinity',
        '\u0000',
        '\ud800',
        'a'.repeat(random.whole(0, 300)),
      ]);
    case 2:
      return null;
    case 3:
      return random.chance(0.5);
    case 4:
      return random.pick(WORDS);
    case 5:
      return Array.from({ length: random.whole(0, 5) }, () => value(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.whole(0, 5) }, () => [
          random.pick(WORDS),
          value(random, depth + 1),
        ]),
      );
  }
}

/** Fields of any number and type, some of them messages of the same. */
function wireNoise(random: Random, depth: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = random.whole(0, 6); i > 0; i--) {
    const number = random.whole(1, 30);
    const type = random.pick([0, 1, 2, 2, 2, 3, 5]);
    parts.push(varint((number << 3) | type));
    if (type === 0) parts.push(varint(random.whole(0, 2 ** 31 - 1)));
    if (type === 1) parts.push(bytes(8, random));
    if (type === 5) parts.push(bytes(4, random));
    if (type === 2) {
      const inner = depth < 6 ? wireNoise(random, depth + 1) : bytes(random.whole(0, 20), random);
      parts.push(varint(inner.length), inner);
    }
  }
  return Buffer.concat(parts);
}

function varint(number: number): Buffer {
  const out: number[] = [];
  let left = number;
  for (; left > 0x7f; left = Math.floor(left / 128)) out.push((left % 128) | 0x80);
  out.push(left);
  return Buffer.from(out);
}

/** Mostly a frame as it should be; now and then one that lies. */
function frameOf(message: Buffer, compressed: boolean, random: Random): Buffer {
  const head = Buffer.alloc(FRAME_BYTES);
  head.writeUInt8(random.chance(0.03) ? random.whole(0, 255) : Number(compressed));
  head.writeUInt32BE(random.chance(0.03) ? random.whole(0, 2 ** 32 - 1) : message.length, 1);
  const frame = Buffer.concat([head, message]);
  if (random.chance(0.03)) return Buffer.concat([frame, frame]);
  return random.chance(0.03) ? frame.subarray(0, random.whole(0, FRAME_BYTES)) : frame;
}

function encodingHeader(contentType: string): Record<string, string> {
  if (contentType.startsWith('application/grpc')) return { 'grpc-encoding': 'gzip' };
  if (contentType.startsWith('application/connect')) return { 'connect-content-encoding': 'gzip' };
  return { 'content-encoding': 'gzip' };
}
