// What tool_choice asks of a turn: whether the model kept to it, and how it is asked once more where it
// did not.
import { create } from '@bufbuild/protobuf';
import type { ChatRequest, ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ToolChoiceMode, ToolChoiceSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { isOfMcpServer } from '../../chat/rules/mcp-tool-names.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { End } from '../../chat/decisions/terminal.ts';
import type { ToolSet } from './tool-set.ts';

const FORCED: ReadonlySet<ToolChoiceMode> = new Set([ToolChoiceMode.ANY, ToolChoiceMode.NAMED]);

/**
 * Of a turn, given whether the chat has called a tool before. A call that must be made is made once: else
 * no chat whose tools are answered would come to an end. `answer`: the tool whose call is the answer;
 * until then others may be called.
 */
export function choiceOfTurn(
  { toolChoice: choice, tools, mcpServers }: ChatRequest,
  answer: string | undefined,
  called: boolean,
): ToolChoice | undefined {
  if (answer !== undefined) {
    const only = tools.length === 1 && mcpServers.length === 0;
    return create(ToolChoiceSchema, {
      mode: only ? ToolChoiceMode.NAMED : ToolChoiceMode.ANY,
      ...(only ? { name: answer } : {}),
      ...(choice?.parallel === undefined ? {} : { parallel: choice.parallel }),
    });
  }
  if (choice === undefined || !called || !FORCED.has(choice.mode)) return choice;
  return create(ToolChoiceSchema, {
    mode: ToolChoiceMode.AUTO,
    ...(choice.parallel === undefined ? {} : { parallel: choice.parallel }),
  });
}

/** Where every MCP server is away there may be none to choose among; one that is named is missed. */
export function choosable(choice: ToolChoice | undefined, { definitions }: ToolSet): boolean {
  return definitions.length > 0 || choice?.mode === ToolChoiceMode.NAMED;
}

/** Why the model is not asked: the tool that it must call is none that there is. Only an MCP server's can be. */
export function missingChoice(
  choice: ToolChoice | undefined,
  { mcpServers }: ChatRequest,
  { definitions, ours }: ToolSet,
): End | undefined {
  if (choice?.mode !== ToolChoiceMode.NAMED) return undefined;
  const { name } = choice;
  if (definitions.some((each) => each.name === name)) return undefined;
  const servers = mcpServers.filter((server) => isOfMcpServer(name, server.name));
  const theirs = [...ours.values()].flatMap(({ tool }) =>
    servers.some((server) => server.name === tool.server) ? [tool.name] : [],
  );
  const of = servers.map((server) => `"${server.name}"`).join(' and ');
  const missing = `The tool "${name}", which tool_choice names, is not there: the MCP server ${of}`;
  return theirs.length === 0
    ? {
        kind: 'failed',
        reason: FailureReason.MCP_SERVER_UNAVAILABLE,
        message: `${missing} has no tools now, or cannot be used, as a warning says then.`,
        retryable: true,
      }
    : {
        kind: 'failed',
        reason: FailureReason.TOOL_CHOICE_NOT_MET,
        message: `${missing} has none of that name. It has: ${theirs.join(', ')}.`,
        retryable: false,
      };
}

/** Throws where a call breaks the choice; `before`: calls of the same turn. */
export function checkCall(choice: ToolChoice | undefined, name: string, before: number): void {
  if (choice === undefined) return;
  if (choice.mode === ToolChoiceMode.NONE) {
    throw choiceNotMet('called a tool although tool_choice is TOOL_CHOICE_MODE_NONE');
  }
  if (choice.mode === ToolChoiceMode.NAMED && name !== choice.name) {
    throw choiceNotMet(`called another tool than "${choice.name}", which tool_choice names`);
  }
  if (choice.parallel === false && before > 0) {
    throw choiceNotMet('called several tools in one turn although tool_choice.parallel is false');
  }
}

/** Throws where a turn that came to its end had to make a call. */
export function checkTurn(choice: ToolChoice | undefined, calls: number): void {
  if (choice === undefined || calls > 0 || !FORCED.has(choice.mode)) return;
  const what = choice.mode === ToolChoiceMode.NAMED ? `"${choice.name}"` : 'a tool';
  throw choiceNotMet(`did not call ${what}, as tool_choice has it`);
}

/** For the model, in the place of the user. */
export function correction(choice: ToolChoice): string {
  switch (choice.mode) {
    case ToolChoiceMode.NONE:
      return 'You must not call any tool here. Answer again, in text alone.';
    case ToolChoiceMode.NAMED:
      return `You must call the tool "${choice.name}" now${one(choice)}. Do that, and nothing else.`;
    case ToolChoiceMode.ANY:
      return `You must call one of the tools now${one(choice)}. Do that, and nothing else.`;
    default:
      return 'Call at most one tool at a time. Answer again, with one call or in text.';
  }
}

function one({ parallel }: ToolChoice): string {
  return parallel === false ? ', with a single call' : '';
}

function choiceNotMet(what: string): ModelFailure {
  return new ModelFailure(
    FailureReason.TOOL_CHOICE_NOT_MET,
    `The model ${what}. What was said until then is kept; try again, or leave tool_choice out.`,
    { retryable: true },
  );
}
