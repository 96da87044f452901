// The HTTP face of the embedded model: as much of OpenAI's API as the engine can honour.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ChildSettings, EMBEDDED_MODEL_NAME } from './child-protocol.ts';
import { type CompletionRequest, parseCompletionRequest } from './completion-request.ts';
import { type Completion, type CompletionEnd, type Engine } from './engine.ts';
import { errorBody, Refusal } from './refusal.ts';
import { readCall, type ToolCall } from './tool-call.ts';

/** Twice what a chat request may weigh, since JSON escapes; over-long prompts get a better answer. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

export function createCompletionsServer(engine: Engine, settings: ChildSettings): Server {
  const model = {
    id: EMBEDDED_MODEL_NAME,
    object: 'model',
    created: 0,
    owned_by: 'embedded',
    max_model_len: settings.contextTokens,
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://loopback');
    switch (`${request.method} ${pathname}`) {
      case 'GET /health':
        return sendJson(response, 200, {
          status: 'ok',
          ...engine.load(),
          sequences: settings.sequences,
          context_tokens: settings.contextTokens,
        });
      case 'GET /v1/models':
        return sendJson(response, 200, { object: 'list', data: [model] });
      case `GET /v1/models/${EMBEDDED_MODEL_NAME}`:
        return sendJson(response, 200, model);
      case 'POST /v1/chat/completions':
        return await complete(request, response);
      default:
        throw new Refusal(404, 'not_found', `There is no ${request.method} ${pathname} here.`);
    }
  }

  async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Who hangs up wants nothing more: the sequence is for the next in the queue.
    const hangUp = new AbortController();
    response.on('close', () => hangUp.abort(new Error('the client hung up')));
    const body = parseCompletionRequest(await readJson(request));
    const completion = await engine.prepare(body);
    const id = `chatcmpl-${randomUUID()}`;
    if (body.stream) await stream(id, body, completion, response, hangUp.signal);
    else await whole(id, body, completion, response, hangUp.signal);
  }

  return createServer({ keepAlive: true }, (request, response) => {
    answer(request, response).catch((error: unknown) => fail(response, error));
  });
}

async function stream(
  id: string,
  request: CompletionRequest,
  completion: Completion,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const created = unixSeconds();
  // What a slow reader leaves in the socket's buffer is bounded by the context, so nobody waits
  // for it: a place among the sequences is worth more than these bytes.
  const send = (fields: object): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    const common = { id, object: 'chat.completion.chunk', created, model: EMBEDDED_MODEL_NAME };
    response.write(`data: ${JSON.stringify({ ...common, ...fields })}\n\n`);
  };
  const delta = (content: object, end?: Ended): void => {
    const reason = end === undefined ? { finish_reason: null } : finishOf(end);
    send({ choices: [{ index: 0, delta: content, ...reason }] });
  };
  const finish = (end: Ended): void => {
    if (request.includeUsage) send({ choices: [], usage: usageOf(end) });
    response.end('data: [DONE]\n\n');
  };

  if (request.calls) {
    const { call, end } = await calling(completion, signal);
    const calls = call === undefined ? {} : { tool_calls: [{ index: 0, ...callOf(call) }] };
    delta({ role: 'assistant', content: null, ...calls });
    delta({}, end);
    finish(end);
    return;
  }
  let begun = false;
  const end = await completion.run((content) => {
    // The head waits for the first text, so that a refusal can still have its own status.
    delta(begun ? { content } : { role: 'assistant', content });
    begun = true;
  }, signal);
  delta(begun ? {} : { role: 'assistant', content: '' }, end);
  finish(end);
}

/** In one piece: it is no call before it is whole. */
async function calling(
  completion: Completion,
  signal: AbortSignal,
): Promise<{ readonly call: ToolCall | undefined; readonly end: Ended }> {
  let text = '';
  const end = await completion.run((more) => {
    text += more;
  }, signal);
  const finishReason = end.finishReason === 'stop' ? 'tool_calls' : end.finishReason;
  return { call: readCall(text), end: { ...end, finishReason } };
}

function callOf({ name, arguments: given }: ToolCall): object {
  return {
    id: `call_${randomUUID()}`,
    type: 'function',
    function: { name, arguments: given },
  };
}

async function whole(
  id: string,
  request: CompletionRequest,
  completion: Completion,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const answered = (said: object, end: Ended): void =>
    sendJson(response, 200, {
      id,
      object: 'chat.completion',
      created: unixSeconds(),
      model: EMBEDDED_MODEL_NAME,
      choices: [{ index: 0, message: { role: 'assistant', ...said }, ...finishOf(end) }],
      usage: usageOf(end),
    });
  if (request.calls) {
    const { call, end } = await calling(completion, signal);
    answered({ content: null, tool_calls: call === undefined ? [] : [callOf(call)] }, end);
    return;
  }
  let content = '';
  const end = await completion.run((text) => {
    content += text;
  }, signal);
  answered({ content }, end);
}

type Ended = Omit<CompletionEnd, 'finishReason'> & {
  readonly finishReason: CompletionEnd['finishReason'] | 'tool_calls';
};

/** `stop_reason` is vLLM's way to say which stop sequence it was; OpenAI's API has none. */
function finishOf(end: Ended): object {
  return { finish_reason: end.finishReason, stop_reason: end.stopSequence ?? null };
}

function usageOf(end: Ended): object {
  return {
    prompt_tokens: end.promptTokens,
    completion_tokens: end.completionTokens,
    total_tokens: end.promptTokens + end.completionTokens,
    prompt_tokens_details: { cached_tokens: end.cachedTokens },
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  // Web pages can post to loopback too, but not with this type unless a server allows it.
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new Refusal(415, 'unsupported_media_type', 'The content type must be application/json.');
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) {
      throw new Refusal(413, 'body_too_large', `The body is over ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Refusal(400, 'invalid_json', 'The body is not JSON.');
  }
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const refusal =
    error instanceof Refusal
      ? error
      : new Refusal(500, 'internal_error', error instanceof Error ? error.message : String(error));
  if (refusal.status === 500) process.stderr.write(`request failed: ${refusal.message}\n`);
  if (response.headersSent) {
    // In the middle of an answer: say so in the stream, and cut it so that nobody takes it for whole.
    response.write(`data: ${JSON.stringify(errorBody(refusal))}\n\n`, () => response.destroy());
    return;
  }
  const retry = refusal.retryAfterSeconds;
  if (retry !== undefined) response.setHeader('retry-after', String(retry));
  // A body that was not read to its end makes the connection useless for another request.
  if (!response.req.complete) response.setHeader('connection', 'close');
  sendJson(response, refusal.status, errorBody(refusal));
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
