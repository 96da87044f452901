// Sends such bodies to a server and says how each was answered: by a code of the contract, or not.
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:http2';
import { fuzzCall, type FuzzCall } from './bodies.ts';

export interface FuzzReport {
  /** By code; `ok` for those that were taken. */
  readonly answers: Readonly<Record<string, number>>;
  /** Answers that no caller may get: defects, and none at all. */
  readonly wrong: readonly string[];
  readonly initiated: number;
}

export interface FuzzOptions {
  readonly url: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

const AT_ONCE = 32;
const CALL_MS = 30_000;
const MOST_WRONG = 20;

/** By number, as gRPC says it, and by name, as Connect does. */
const CODES = [
  'ok',
  'canceled',
  'unknown',
  'invalid_argument',
  'deadline_exceeded',
  'not_found',
  'already_exists',
  'permission_denied',
  'resource_exhausted',
  'failed_precondition',
  'aborted',
  'out_of_range',
  'unimplemented',
  'internal',
  'unavailable',
  'data_loss',
  'unauthenticated',
] as const;
/** gRPC's own INTERNAL for a message that is marked as compressed while no header says how: no defect. */
const UNSAID_COMPRESSION = 'internal, for a compression that no header says';

/** What a caller is at fault for, or asked for. */
const RIGHT_ANSWERS: ReadonlySet<string> = new Set([
  'ok',
  UNSAID_COMPRESSION,
  'invalid_argument',
  'not_found',
  'already_exists',
  'resource_exhausted',
  'failed_precondition',
  'out_of_range',
  'unimplemented',
]);

export async function fuzz({ url, seed, from, to }: FuzzOptions): Promise<FuzzReport> {
  const answers: Record<string, number> = {};
  const wrong: string[] = [];
  let initiated = 0;
  let next = from;
  const session = connect(url);
  session.on('error', () => undefined);
  const send = async (): Promise<void> => {
    while (next < to) {
      const n = next++;
      const call = fuzzCall(seed, n);
      const answer = await answerTo(session, call);
      answers[answer] = (answers[answer] ?? 0) + 1;
      if (answer === 'ok' && call.method.name === 'InitiateChatStream') initiated++;
      if (!RIGHT_ANSWERS.has(answer) && wrong.length < MOST_WRONG) {
        wrong.push(`#${n} ${call.method.name} ${call.contentType}, ${call.how}: ${answer}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, send));
  session.close();
  return { answers, wrong, initiated };
}

function answerTo(session: ClientHttp2Session, call: FuzzCall): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const stream = session.request({
    ':method': 'POST',
    ':path': `/tailrace.v1.ChatStreamService/${call.method.name}`,
    'content-type': call.contentType,
    ...call.headers,
  });
  const timer = setTimeout(() => settle('no answer in time'), CALL_MS);
  const chunks: Buffer[] = [];
  let head: IncomingHttpHeaders = {};
  let tail: IncomingHttpHeaders = {};

  function settle(answer: string): void {
    clearTimeout(timer);
    stream.close();
    resolve(answer);
  }

  stream.on('response', (headers) => {
    head = headers;
  });
  stream.on('trailers', (headers) => {
    tail = headers;
  });
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    // An observation that was let in would go on.
    if (call.method.methodKind !== 'unary' && isLetIn(head, chunk)) settle('ok');
  });
  stream.on('end', () => settle(codeOf(call, head, tail, Buffer.concat(chunks))));
  stream.on('error', (error) => settle(`the stream broke: ${error.message}`));
  stream.on('close', () => settle('closed without an answer'));
  stream.end(call.body);
  return promise;
}

/** The first frame of an observation is a message, not an end. */
function isLetIn(head: IncomingHttpHeaders, chunk: Buffer): boolean {
  return head['grpc-status'] === undefined && chunk[0] === 0;
}

function codeOf(
  { framed, contentType }: FuzzCall,
  head: IncomingHttpHeaders,
  tail: IncomingHttpHeaders,
  body: Buffer,
): string {
  const status = tail['grpc-status'] ?? head['grpc-status'];
  const message = tail['grpc-message'] ?? head['grpc-message'];
  if (status !== undefined) return grpcAnswer(String(status), String(message));
  if (contentType.startsWith('application/grpc-web')) {
    const text = body.toString('latin1');
    const said = /grpc-status: ?(\d+)/i.exec(text)?.[1];
    return said === undefined ? 'no grpc-status' : grpcAnswer(said, text);
  }
  if (Number(head[':status']) === 200 && !framed) return 'ok';
  const said = /"code":"([a-z_]+)"/.exec(body.toString('latin1'))?.[1];
  return said ?? `HTTP ${String(head[':status'])}`;
}

function grpcAnswer(status: string, message: string): string {
  const code = CODES[Number(status)];
  if (code === 'internal' && /marked(?: |%20)as(?: |%20)compressed/.test(message))
    return UNSAID_COMPRESSION;
  return code ?? `grpc-status ${status}`;
}
