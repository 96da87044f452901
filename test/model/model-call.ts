// What the tests of src/model share: a call made from a script, and a sink that can be awaited.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { MessageSchema, Role } from '../../gen/tailrace/v1/content_pb.ts';
import { FIRST_TOKEN_TIMEOUT_MS, IDLE_TIMEOUT_MS } from '../../src/chat/limits.ts';
import { untracedSpan } from '../../src/chat/ports/span.ts';
import type { ModelCall, ModelSink, ModelUsage, ModelWarning } from '../../src/chat/ports/model.ts';
import { createRegistry, type RegistryPolicy } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import { toolSet } from '../../src/worker/tools/tool-set.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

export const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
export const API_KEY = 'sk-test-0123456789abcdef';
/** For calls that nobody aborts. */
export const NEVER = new AbortController().signal;

export type RequestInit = MessageInitShape<typeof ChatRequestSchema>;

export function modelCall(said: string | ScriptInput, request: RequestInit = {}): ModelCall {
  const text = typeof said === 'string' ? said : scripted(said);
  const message = create(MessageSchema, {
    role: Role.USER,
    content: [{ block: { case: 'text', value: text } }],
  });
  const chatRequest: ChatRequest = create(ChatRequestSchema, request);
  const { correlationId } = chatRequest;
  return {
    model: 'test-model',
    answeredBy: undefined,
    request: chatRequest,
    messages: [message],
    tools: toolSet(chatRequest, []).definitions,
    toolChoice: chatRequest.toolChoice,
    tenant: 'default',
    createdAtMs: Date.UTC(2026, 10, 23, 8),
    turn: 1,
    correlationId,
    span: untracedSpan(TRACEPARENT),
    limits: {
      firstTokenTimeoutMs: FIRST_TOKEN_TIMEOUT_MS,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      outputTokens: undefined,
    },
  };
}

export interface RecordingSink extends ModelSink {
  readonly texts: string[];
  readonly thoughts: string[];
  readonly signatures: string[];
  readonly usages: ModelUsage[];
  readonly warnings: ModelWarning[];
  /** Of each call: id, name, and its input so far. */
  readonly calls: { readonly id: string; readonly name: string; input: string }[];
  /** Resolves with the first text. */
  readonly firstText: Promise<string>;
  /** What `pressure` answers once there is text. */
  holdUntil: Promise<void> | undefined;
}

export function recordingSink(): RecordingSink {
  const first = Promise.withResolvers<string>();
  const sink: RecordingSink = {
    texts: [],
    thoughts: [],
    signatures: [],
    usages: [],
    warnings: [],
    calls: [],
    firstText: first.promise,
    holdUntil: undefined,
    text(delta) {
      sink.texts.push(delta);
      first.resolve(delta);
    },
    thinking: (delta) => void sink.thoughts.push(delta),
    toolUse: (call, id, name) => void (sink.calls[call] = { id, name, input: '' }),
    toolInput: (call, json) => {
      const made = sink.calls[call];
      if (made === undefined) throw new Error(`input for the call ${call}, which never began`);
      made.input += json;
    },
    signature: (signature) => void sink.signatures.push(signature),
    usage: (usage) => void sink.usages.push(usage),
    warning: (warning) => void sink.warnings.push(warning),
    pressure: () => (sink.texts.length > 0 ? sink.holdUntil : undefined),
  };
  return sink;
}

/** A server and a client that is quick to give up. */
export async function startPair(
  policy: RegistryPolicy = {},
  key: { apiKey?: string } = { apiKey: API_KEY },
) {
  const server = await startModelServer();
  // Said, so that no call asks first what the server is.
  const spec = oneServer({ baseUrl: server.url, dialect: 'vllm', ...key });
  const client = createRegistry(spec, { retryBaseMs: 2, tailMs: 100, ...policy });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
