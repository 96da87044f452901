// What a run begins from: its chat's request, and what the log says of the steps that are finished.
import { fromBinary } from '@bufbuild/protobuf';
import type { Hash } from 'node:crypto';
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Message } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { OpenCalls } from '../chat/fold/answer.ts';
import { AnswerFold } from '../chat/fold/answer.ts';
import { type CitedDocuments, citedDocuments } from '../chat/prompt/cited-documents.ts';
import type { Command, WorkQueue } from '../chat/ports/commands.ts';
import { documentsById } from '../chat/prompt/context-documents.ts';
import { ChatError } from '../chat/errors.ts';
import type { EventLog, StatusMark } from '../chat/ports/event-log.ts';
import { APPEND_SETTLE_MS } from '../chat/limits.ts';
import type { LogReading } from '../chat/log/read-log.ts';
import type { ChatLimits } from '../chat/rules/request-limits.ts';
import { limitsOf } from '../chat/rules/request-limits.ts';
import type { Opener } from '../chat/ports/sealing.ts';
import type { OpenTools, ToolOpener } from '../chat/ports/tool.ts';
import {
  type AnswerFormat,
  answerFormat,
  askedAgain,
  repairRequest,
} from './answer/answer-format.ts';
import type { AnswerSink, TurnStart } from './answer/answer-sink.ts';
import { openSecrets } from './open-secrets.ts';
import { choiceOfTurn, choosable, correction } from './tools/tool-choice.ts';
import { toolSet } from './tools/tool-set.ts';

/** A chat in the hands of a run: what stays the same from turn to turn. */
export interface OpenChat {
  readonly request: ChatRequest;
  readonly awaitToolResults: boolean;
  /** Of the chat, whichever command drives the run. */
  readonly createdAtMs: number;
  readonly limits: ChatLimits;
  /** The form that the answer must have; undefined: any. */
  readonly format: AnswerFormat | undefined;
  readonly cited: CitedDocuments | undefined;
}

/** The turn that the model is to be asked for, or whose calls are to be answered. */
export interface Turn extends TurnStart {
  /** Who answered the turn before in this run, if it was another than the chat's model. */
  answeredBy: string | undefined;
  /** The conversation so far, what this chat has added included. */
  readonly messages: readonly Message[];
  /** Over the text that the chat has said so far. */
  readonly textHash: Hash;
  /** The model's turn is over, and these calls of it have no result; undefined: it is to be asked. */
  readonly calls: OpenCalls | undefined;
  /** How often each tool of ours has answered. */
  readonly used: ReadonlyMap<string, number>;
  /** What they have answered together, in UTF-16 units, and in bytes of images. */
  readonly toolResultChars: number;
  readonly toolImageBytes: number;
  /** What the model did not keep to before it was asked once more; undefined: this is no repair. */
  readonly repairs: 'schema' | 'tool_choice' | undefined;
}

export interface TurnDeps {
  readonly log: EventLog;
  readonly queue: Pick<WorkQueue, 'startOf'>;
  /** The tools that are run here of what a request asks for, for as long as a run lasts. */
  readonly openTools: ToolOpener;
  readonly opener: Opener;
}

/** Undefined: the chat's start is erased. A short absence of the log is waited for. */
export async function openChat(
  deps: Pick<TurnDeps, 'queue' | 'opener'>,
  command: Command,
): Promise<OpenChat | undefined> {
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
  return {
    request,
    awaitToolResults,
    createdAtMs: start.meta.createdAtMs,
    limits: limitsOf(request),
    format: answerFormat(request),
    cited:
      request.system?.citations?.enabled === true
        ? citedDocuments(documentsById(request))
        : undefined,
  };
}

/** What comes next after the finished steps up to a record that is stored; undefined: there is none. */
export async function nextTurn(
  { request, format, cited }: OpenChat,
  opened: OpenTools,
  reading: LogReading,
  upTo: number | undefined,
): Promise<Turn> {
  const said = upTo === undefined ? new AnswerFold() : await patiently(() => reading.upTo(upTo));
  const calls = said.openCalls();
  const calledIds = said.callIds();
  const tools = toolSet(request, await opened.current());
  const choice = choiceOfTurn(request, format?.tool, calledIds.length > 0);
  const messages = joined(request.messages, said.messages());
  return {
    answeredBy: undefined,
    messages,
    textHash: said.textHash(),
    deltas: request.stream ?? true,
    turn: calls === undefined ? said.turn + 1 : said.turn,
    nextIndex: said.nextIndex,
    chars: said.chars,
    usage: said.usage,
    takenIds: new Set([...toolUseIds(request.messages), ...calledIds]),
    toolChoice: choosable(choice, tools) ? choice : undefined,
    tools,
    keepText: format !== undefined && format.tool === undefined,
    cited,
    calls,
    used: said.serverCalls(),
    toolResultChars: said.toolResultChars,
    toolImageBytes: said.toolImageBytes,
    repairs: undefined,
  };
}

/** The turn after one whose answer did not fit: the same step, with what is wrong. */
export function repairTurn(
  { format }: OpenChat,
  turn: Turn,
  sink: AnswerSink,
  usage: Usage,
  violations: readonly string[],
): Turn {
  if (format === undefined) throw new Error('Only an answer by a schema is asked for again.');
  const asked = askedAgain(sink.saidText(), repairRequest(format, violations));
  return {
    ...turn,
    ...sink.nextStart(usage),
    messages: [...turn.messages, ...asked],
    repairs: 'schema',
  };
}

/** The turn after one that did not keep to tool_choice: the same step, with what is wanted. */
export function corrected(turn: Turn, sink: AnswerSink, usage: Usage): Turn {
  const { toolChoice } = turn;
  if (toolChoice === undefined) throw new Error('Only a choice that was made can be broken.');
  const asked = askedAgain(sink.saidText(), correction(toolChoice));
  return {
    ...turn,
    ...sink.nextStart(usage),
    messages: [...turn.messages, ...asked],
    repairs: 'tool_choice',
  };
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
