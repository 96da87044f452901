// What a run begins from: its chat's request, and what the log says of the steps that are finished.
import { fromBinary } from '@bufbuild/protobuf';
import type { Hash } from 'node:crypto';
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Message } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { AnswerFold } from '../chat/answer.ts';
import type { Command, WorkQueue } from '../chat/commands.ts';
import { ChatError } from '../chat/errors.ts';
import type { EventLog, StatusMark } from '../chat/event-log.ts';
import { APPEND_SETTLE_MS } from '../chat/limits.ts';
import { foldUpTo } from '../chat/read-log.ts';
import type { ChatLimits } from '../chat/request-limits.ts';
import { limitsOf } from '../chat/request-limits.ts';
import type { Opener } from '../chat/sealing-port.ts';
import { type AnswerFormat, answerFormat, repairMessages } from './answer-format.ts';
import type { AnswerSink, TurnStart } from './answer-sink.ts';
import { openSecrets } from './open-secrets.ts';

/** The turn that the model is to be asked for. */
export interface Turn extends TurnStart {
  readonly request: ChatRequest;
  readonly awaitToolResults: boolean;
  /** Of the chat, whichever command drives this turn. */
  readonly createdAtMs: number;
  readonly limits: ChatLimits;
  /** Who answered the turn before in this run, if it was another than the chat's model. */
  answeredBy: string | undefined;
  /** The conversation so far, what this chat has added included. */
  readonly messages: readonly Message[];
  /** Over the text that the chat has said so far. */
  readonly textHash: Hash;
  /** The form that the answer must have; undefined: any. */
  readonly format: AnswerFormat | undefined;
  /** Why the model is asked once more; empty: this is no repair. */
  readonly repairs: readonly string[];
}

export interface TurnDeps {
  readonly log: EventLog;
  readonly queue: Pick<WorkQueue, 'startOf'>;
  readonly opener: Opener;
}

/** Undefined: the chat's start is erased. A short absence of the log is waited for. */
export async function nextTurn(
  deps: TurnDeps,
  command: Command,
  claimRecord: number,
  mark: StatusMark,
): Promise<Turn | undefined> {
  const { chat } = command;
  const start =
    command.verb === 'start' ? command : await patiently(() => deps.queue.startOf(chat));
  if (start === undefined) return undefined;
  const { request, awaitToolResults } = openSecrets(
    fromBinary(InitiateChatStreamRequestSchema, start.data),
    deps.opener,
    chat,
  );
  if (request === undefined) throw new Error('The start command holds no request.');
  const said = isFirstStep(mark)
    ? new AnswerFold()
    : await patiently(() => foldUpTo(deps.log, chat, claimRecord));
  const format = answerFormat(request);
  const messages = joined(request.messages, said.messages());
  return {
    request,
    awaitToolResults,
    createdAtMs: start.meta.createdAtMs,
    limits: limitsOf(request),
    answeredBy: undefined,
    messages,
    textHash: said.textHash(),
    deltas: request.stream ?? true,
    turn: said.turn + 1,
    nextIndex: said.nextIndex,
    chars: said.chars,
    usage: said.usage,
    takenIds: toolUseIds(messages),
    toolChoice: request.toolChoice,
    format,
    keepText: format !== undefined,
    repairs: [],
  };
}

/** The turn after one whose answer did not fit: the same step, with what is wrong. */
export function repairTurn(
  turn: Turn,
  sink: AnswerSink,
  usage: Usage,
  repairs: readonly string[],
): Turn {
  const { format } = turn;
  if (format === undefined) throw new Error('Only an answer by a schema is asked for again.');
  const asked = repairMessages(format, sink.saidText(), repairs);
  return { ...turn, ...sink.nextStart(usage), messages: [...turn.messages, ...asked], repairs };
}

/** Until another step is finished nothing is kept of what was said: the first claim is the first step. */
export function isFirstStep(mark: StatusMark): boolean {
  return mark.stepSequence <= FIRST_SEQUENCE;
}

const FIRST_SEQUENCE = 1;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

/** An assistant message that was to be continued is one with the turn that continued it. */
function joined(asked: readonly Message[], said: readonly Message[]): readonly Message[] {
  const begun = asked.at(-1);
  const [first, ...more] = said;
  if (begun?.role !== Role.ASSISTANT || first === undefined) return [...asked, ...said];
  const whole = { ...begun, content: [...begun.content, ...first.content] };
  return [...asked.slice(0, -1), whole, ...more];
}

function toolUseIds(messages: readonly Message[]): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const { content } of messages) {
    for (const { block } of content) if (block.case === 'toolUse') ids.add(block.value.id);
  }
  return ids;
}

/** Reads again while the log is away, as long as an append would be settled. */
async function patiently<T>(read: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + APPEND_SETTLE_MS;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await read();
    } catch (error) {
      const away = error instanceof ChatError && error.reason === 'LOG_UNAVAILABLE';
      if (!away || performance.now() + waitMs > deadlineMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
