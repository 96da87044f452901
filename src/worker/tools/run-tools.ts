// Calls of tools that are run here, from the model's turn to their results in the log. Whatever a call
// comes to is told to the model; only the chat's end ends them. What does not belong here: any tool.
import type { ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Settled } from '../../chat/log/append.ts';
import type { OpenCall } from '../../chat/fold/answer.ts';
import {
  MAX_CHAT_TOOL_RESULT_CHARS,
  TOOL_CALL_TIMEOUT_MS,
  TOOL_CALLS_AT_ONCE,
} from '../../chat/limits.ts';
import type { Span } from '../../chat/ports/span.ts';
import { ToolFailure, type ToolPart, type ToolProgress } from '../../chat/ports/tool.ts';
import { readToolInput } from '../../tools/schemas/tool-input.ts';
import type { LogWriter } from '../log/log-writer.ts';
import { type Answered, resultContent } from './tool-result.ts';
import { progressEvents } from './tool-progress.ts';
import type { OwnTool, ToolSet } from './tool-set.ts';

export interface ToolRun {
  readonly writer: LogWriter;
  readonly tools: ToolSet;
  /** The turn that made the calls. */
  readonly turn: number;
  /** The index of the next block. */
  readonly nextIndex: number;
  /** How often each tool has answered in this chat. */
  readonly used: ReadonlyMap<string, number>;
  /** What they have answered together, in UTF-16 units, and in bytes of images. */
  readonly toolResultChars: number;
  readonly toolImageBytes: number;
  readonly signal: AbortSignal;
  /** Of the run. */
  readonly span: Span;
  /** A fault of ours or of the tool's, which the model is told of in few words. */
  readonly onFault: (call: ToolUseBlock, error: unknown) => void;
}

interface Result {
  readonly parts: readonly ToolPart[];
  readonly isError: boolean;
}

/**
 * Runs the calls, some at once, each result a finished step of its own: none that the log has is run again.
 * Resolves with what the log said last; rejects with the signal's reason.
 */
export async function runTools(run: ToolRun, calls: readonly OpenCall[]): Promise<Settled> {
  let nextIndex = run.nextIndex;
  const used = new Map(run.used);
  const answered: Answered = { chars: run.toolResultChars, imageBytes: run.toolImageBytes };
  let last: Settled = { type: 'stored', storeSequence: run.writer.storeSequence };
  const waiting = calls.map((open) => {
    const index = open.begun ?? nextIndex++;
    const uses = used.get(open.call.name) ?? 0;
    used.set(open.call.name, uses + 1);
    return { open, index, uses };
  });
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { open, index, uses } = next;
      if (last.type !== 'stored') return;
      last = await answer(run, open, index, uses, answered);
    }
  };
  const workers = Array.from({ length: Math.min(TOOL_CALLS_AT_ONCE, calls.length) }, work);
  // All of them have ended before this does: nobody else may write then.
  const outcomes = await Promise.allSettled(workers);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return last;
}

/** One call, to its result in the log. */
async function answer(
  run: ToolRun,
  { call, begun }: OpenCall,
  index: number,
  uses: number,
  answered: Answered,
): Promise<Settled> {
  const { writer, signal, turn } = run;
  signal.throwIfAborted();
  const own = run.tools.ours.get(call.name);
  if (begun === undefined) {
    const kind = BlockKind.TOOL_RESULT;
    writer.push({ case: 'blockStarted', value: { index, kind, turn, id: call.id } });
    if (own !== undefined && !own.tool.idempotent) {
      // It is in the log before it is made: who comes after a crash must not make it again.
      const settled = await writer.step();
      if (settled.type !== 'stored') return settled;
    }
  }
  const told = progressEvents({ index, toolUseId: call.id }, (event) => writer.push(event));
  const spent = { uses, chars: answered.chars, tell: told.tell };
  const result = await resultOf(run, { call, begun }, own, spent).finally(told.end);
  const content = resultContent(result.parts, answered);
  const value = { toolUseId: call.id, content, isError: result.isError };
  writer.push({
    case: 'blockStopped',
    value: { index, content: { block: { case: 'toolResult', value } } },
  });
  return writer.step();
}

const TOO_MUCH_TOLD = failure(
  `The tools of this chat have answered ${MAX_CHAT_TOOL_RESULT_CHARS} characters, the most that they may, and this call was not made. Go on with what you have.`,
);

const FATE_UNKNOWN = failure(
  'This call was under way when its worker was lost. It may or may not have been carried out, and it is not repeated, since this tool does not say that it may be. Find out how things stand before you call it again.',
);

async function resultOf(
  run: ToolRun,
  { call, begun }: OpenCall,
  own: OwnTool | undefined,
  {
    uses,
    chars,
    tell,
  }: {
    readonly uses: number;
    readonly chars: number;
    readonly tell: (progress: ToolProgress) => void;
  },
): Promise<Result> {
  if (own === undefined) return failure(unknownTool(call.name, run.tools));
  const { tool, maxUses } = own;
  // One that may be repeated can be in the log as begun as well: by the step of a call beside it.
  if (begun !== undefined && !tool.idempotent) return FATE_UNKNOWN;
  if (chars >= MAX_CHAT_TOOL_RESULT_CHARS) return TOO_MUCH_TOLD;
  if (maxUses !== undefined && uses >= maxUses) {
    return failure(
      `${tool.name} may be called ${maxUses} times in this chat, and was. Go on without it.`,
    );
  }
  const input = readToolInput(tool.inputSchema, call.input);
  if (!input.ok) return failure(input.why);
  const { timeoutMs = TOOL_CALL_TIMEOUT_MS } = tool;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([run.signal, timeout]);
  const span = run.span.child(`execute_tool ${tool.name}`, 'internal', {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': tool.name,
    'gen_ai.tool.call.id': call.id,
  });
  let fault: string | undefined;
  try {
    const answer = tool.call(input.value, signal, span.traceparent, tell);
    const said = await untilAborted(answer, signal);
    const parts = typeof said === 'string' ? [textPart(said)] : said;
    return { parts, isError: false };
  } catch (error) {
    fault = 'ABORTED';
    run.signal.throwIfAborted();
    fault = timeout.aborted
      ? 'TIMEOUT'
      : error instanceof ToolFailure
        ? 'TOOL_FAILURE'
        : 'INTERNAL';
    if (timeout.aborted) {
      return failure(`${tool.name} did not answer within ${timeoutMs / 1_000} s.`);
    }
    run.onFault(call, error);
    if (error instanceof ToolFailure) return failure(error.message);
    return failure(`${tool.name} failed inside. Trying again may or may not help.`);
  } finally {
    span.end(fault);
  }
}

/** A tool that does not heed the signal holds nobody up. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function failure(text: string): Result {
  return { parts: [textPart(text)], isError: true };
}

function textPart(text: string): ToolPart {
  return { kind: 'text', text };
}

function unknownTool(name: string, { definitions }: ToolSet): string {
  const names = definitions.map((each) => each.name);
  return names.length === 0
    ? `There is no tool "${name}", nor any other in this chat.`
    : `There is no tool "${name}". There are: ${names.join(', ')}.`;
}
