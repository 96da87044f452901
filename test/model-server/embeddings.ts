// The embeddings of the test model server: vectors by the words of a text, where words of one meaning are the
// same word; and what may go wrong. A test sets the fault; what was asked for can be looked at.
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import * as z from 'zod';

export const EMBEDDING_FAULTS = [
  /** Answers with `status`. */
  'status',
  /** Takes the request and never answers. */
  'hang',
  /** Closes the connection before it answers. */
  'refuse',
  /** Answers with what is no JSON. */
  'no_json',
  /** The same, and does not call it JSON. */
  'no_json_type',
  /** One vector less than texts. */
  'too_few',
  /** The last two have the same index. */
  'same_index',
  /** One dimension less than asked for, in the last vector. */
  'other_dimensions',
  /** Zeros. */
  'zero',
] as const;

export interface EmbeddingFault {
  readonly kind: (typeof EMBEDDING_FAULTS)[number];
  readonly status?: number;
  /** So many requests; default: all. */
  readonly times?: number;
}

export interface RecordedEmbeddings {
  readonly body: z.output<typeof requestSchema>;
  readonly headers: IncomingHttpHeaders;
  /** 'aborted': the client left before the answer's end. */
  readonly ended: Promise<'answered' | 'aborted'>;
}

export interface EmbeddingsRoute {
  readonly requests: readonly RecordedEmbeddings[];
  /** Requests that come from now on fail like this. */
  fault: EmbeddingFault | undefined;
  /** Numbers as digits, whatever was asked for, as some servers do. */
  digits: boolean;
  /** The next one that arrives. */
  readonly next: () => Promise<RecordedEmbeddings>;
}

export interface EmbeddingsHandler extends EmbeddingsRoute {
  readonly answer: (request: IncomingMessage, response: ServerResponse, body: unknown) => void;
}

const requestSchema = z.strictObject({
  model: z.literal('test-embedding'),
  input: z.array(z.string().min(1)).min(1).max(2_048),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  dimensions: z.int().min(1).max(4_096).default(256),
});

/** Words of one meaning. */
const MEANINGS: readonly (readonly string[])[] = [
  ['car', 'cars', 'automobile', 'vehicle', 'auto'],
  ['doctor', 'physician', 'surgeon'],
  ['leave', 'depart', 'exit', 'departure'],
];
const MEANING = new Map(MEANINGS.flatMap((words) => words.map((word) => [word, words[0] ?? word])));

/** Each word a direction of its own, as far as there are dimensions. */
export function testVector(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) {
    const hash = createHash('md5')
      .update(MEANING.get(word) ?? word)
      .digest();
    const at = hash.readUInt32LE(0) % dimensions;
    vector[at] = (vector[at] ?? 0) + 1;
  }
  return vector;
}

export function createEmbeddings(): EmbeddingsHandler {
  const requests: RecordedEmbeddings[] = [];
  const waiting: ((request: RecordedEmbeddings) => void)[] = [];
  let failed = 0;
  let fault: EmbeddingFault | undefined;

  const route: EmbeddingsHandler = {
    requests,
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
      failed = 0;
    },
    digits: false,
    next: () => {
      const { promise, resolve } = Promise.withResolvers<RecordedEmbeddings>();
      waiting.push(resolve);
      return promise;
    },
    answer: (request, response, body) => {
      const parsed = requestSchema.safeParse(body);
      if (!parsed.success) {
        const error = { message: z.prettifyError(parsed.error), type: 'invalid_request_error' };
        return send(response, 400, JSON.stringify({ error }));
      }
      const ended = once(response, 'close').then(() =>
        response.writableFinished ? ('answered' as const) : ('aborted' as const),
      );
      const recorded = { body: parsed.data, headers: request.headers, ended };
      requests.push(recorded);
      for (const resolve of waiting.splice(0)) resolve(recorded);
      const hit = fault !== undefined && failed < (fault.times ?? Infinity) ? fault : undefined;
      if (hit !== undefined) failed++;
      embed(recorded.body, hit, route.digits, request, response);
    },
  };
  return route;
}

function embed(
  { input, dimensions, encoding_format: format }: RecordedEmbeddings['body'],
  fault: EmbeddingFault | undefined,
  digits: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { kind } = fault ?? {};
  switch (kind) {
    case 'hang':
      return;
    case 'refuse':
      return void request.socket.destroy();
    case 'status': {
      const error = { message: `refused: ${input.join(' ')}`, type: 'server_error' };
      return send(response, fault?.status ?? 500, JSON.stringify({ error }));
    }
    case 'no_json':
      return send(response, 200, '<html>');
    case 'no_json_type':
      return send(response, 200, 'hello', 'text/plain');
    default:
  }
  const texts = kind === 'too_few' ? input.slice(1) : input;
  const data = texts.map((text, i) => {
    const last = i === texts.length - 1;
    const size = kind === 'other_dimensions' && last ? dimensions - 1 : dimensions;
    const vector = kind === 'zero' ? new Float32Array(size) : testVector(text, size);
    const embedding =
      format === 'float' || digits ? [...vector] : Buffer.from(vector.buffer).toString('base64');
    return { object: 'embedding', index: kind === 'same_index' && last ? 0 : i, embedding };
  });
  const tokens = input.reduce((sum, text) => sum + text.split(/\s+/).length, 0);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  // Backwards: their indexes say where they belong.
  data.reverse();
  send(response, 200, JSON.stringify({ object: 'list', model: 'test-embedding', data, usage }));
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'application/json',
): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
