// The tool calls of one model turn while they come in: their ids, their input, and their bounds.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import type { ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { ToolUseBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import {
  MAX_TOOL_CALLS_PER_TURN,
  MAX_TOOL_INPUT_CHARS,
  MAX_TOOL_NAME_CHARS,
  MAX_TOOL_USE_ID_CHARS,
} from '../../chat/limits.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import { isJsonObject } from '../../chat/rules/tool-rules.ts';
import { checkCall } from './tool-choice.ts';
import type { ToolSet } from './tool-set.ts';

const EMPTY_INPUT = '{}';

export type CallKind = typeof BlockKind.TOOL_USE | typeof BlockKind.SERVER_TOOL_USE;

class ToolCall {
  readonly number: number;
  readonly kind: CallKind;
  readonly id: string;
  readonly name: string;
  /** The MCP server that has the tool; empty for other tools. */
  readonly server: string;
  readonly index: number;
  readonly #pieces: string[] = [];

  constructor(begun: Pick<ToolCall, 'number' | 'kind' | 'id' | 'name' | 'server' | 'index'>) {
    this.number = begun.number;
    this.kind = begun.kind;
    this.id = begun.id;
    this.name = begun.name;
    this.server = begun.server;
    this.index = begun.index;
  }

  add(json: string): void {
    this.#pieces.push(json);
  }

  input(): string {
    return this.#pieces.join('');
  }

  block(incomplete = false): MessageInitShape<typeof ToolUseBlockSchema> {
    const { id, name, server } = this;
    return { id, name, input: this.input(), server, incomplete };
  }

  /** What is JSON of an object cannot have gone on. */
  isWhole(): boolean {
    return isJsonObject(this.input());
  }

  /** What makes JSON of an input for which nothing came. */
  missing(): string {
    return this.input().trim() === '' ? EMPTY_INPUT : '';
  }
}

export class ToolCalls {
  readonly #taken: Set<string>;
  readonly #choice: ToolChoice | undefined;
  readonly #tools: ToolSet;
  readonly #calls = new Map<number, ToolCall>();
  #chars = 0;

  constructor(takenIds: ReadonlySet<string>, choice: ToolChoice | undefined, tools: ToolSet) {
    this.#taken = new Set(takenIds);
    this.#choice = choice;
    this.#tools = tools;
  }

  begin(number: number, id: string, given: string, index: number): ToolCall {
    // No tool is called so: what is left of it is told to the model as unknown.
    const name = given.slice(0, MAX_TOOL_NAME_CHARS).toWellFormed();
    checkCall(this.#choice, name, this.#calls.size);
    if (this.#calls.size >= MAX_TOOL_CALLS_PER_TURN) {
      throw tooLarge(`made more than ${MAX_TOOL_CALLS_PER_TURN} calls of tools in one turn`);
    }
    // What is no tool of the client's is answered here, if only that there is no such tool.
    const { clientNames, ours } = this.#tools;
    const kind = clientNames.has(name) ? BlockKind.TOOL_USE : BlockKind.SERVER_TOOL_USE;
    const server = ours.get(name)?.tool.server ?? '';
    const call = new ToolCall({ number, kind, id: this.#ownId(id), name, server, index });
    this.#calls.set(number, call);
    return call;
  }

  add(number: number, json: string): ToolCall {
    const call = this.#calls.get(number);
    if (call === undefined) throw new Error(`The tool call ${number} never began.`);
    this.#chars += json.length;
    if (this.#chars > MAX_TOOL_INPUT_CHARS) {
      throw tooLarge(
        `gave its tools more than ${MAX_TOOL_INPUT_CHARS} characters of input in one turn`,
      );
    }
    call.add(json);
    return call;
  }

  /** Ids that the turns after this one must not use again. */
  get takenIds(): ReadonlySet<string> {
    return this.#taken;
  }

  get count(): number {
    return this.#calls.size;
  }

  all(): ToolCall[] {
    return [...this.#calls.values()];
  }

  /** Of the first call of a tool. */
  inputOf(name: string): string | undefined {
    return this.all()
      .find((call) => call.name === name)
      ?.input();
  }

  toolUses(): ToolUseBlock[] {
    return this.all().map((call) => create(ToolUseBlockSchema, call.block()));
  }

  /** Whether some of them are answered here. */
  someOurs(): boolean {
    return this.all().some(({ kind }) => kind === BlockKind.SERVER_TOOL_USE);
  }

  /** Some servers give none, or the same ones in every turn; results are paired by it. */
  #ownId(given: string): string {
    const usable = given !== '' && given.length <= MAX_TOOL_USE_ID_CHARS;
    const id = usable && !this.#taken.has(given) ? given : `call_${randomUUID()}`;
    this.#taken.add(id);
    return id;
  }
}

function tooLarge(what: string): ModelFailure {
  return new ModelFailure(
    FailureReason.OUTPUT_TOO_LARGE,
    `The model ${what}, the most that is taken. Ask for less at a time.`,
    { retryable: false },
  );
}
