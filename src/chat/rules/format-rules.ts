// The rules of the form that an answer is to have: each violation by its path.
import type { ChatRequest, Tool, ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ToolChoiceMode } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Violation } from '../errors.ts';

/** Whether answers can be checked against the text of a schema; src/tools has it. */
export type AnswerSchemaChecker = (
  text: string,
) => { readonly ok: true } | { readonly ok: false; readonly why: string };

export function formatViolations(
  { responseFormat, messages, tools, toolChoice }: ChatRequest,
  checkSchema: AnswerSchemaChecker,
): Violation[] {
  const format = responseFormat?.format;
  if (format?.case === 'tool') return toolFormatViolations(format.value.name, tools, toolChoice);
  if (format?.case !== 'jsonSchema') return [];
  const path = 'request.response_format.json_schema';
  const found: Violation[] = [];
  const checked = checkSchema(format.value.schema);
  if (!checked.ok) found.push({ path: `${path}.schema`, description: checked.why });
  if (messages.at(-1)?.role === Role.ASSISTANT) {
    const description =
      'is the form of a whole answer, and the last message is the beginning of one; end with a message of ROLE_USER';
    found.push({ path, description });
  }
  return found;
}

function toolFormatViolations(
  name: string,
  tools: readonly Tool[],
  choice: ToolChoice | undefined,
): Violation[] {
  const found: Violation[] = [];
  const names = tools.flatMap(({ kind }) => (kind.case === 'client' ? [kind.value.name] : []));
  if (!names.includes(name)) {
    found.push({
      path: 'request.response_format.tool.name',
      description:
        names.length === 0
          ? 'must be a client tool of request.tools, and there is none'
          : `must be a client tool of request.tools; they are: ${names.join(', ')}`,
    });
  }
  if (choice !== undefined && !FREE.has(choice.mode)) {
    found.push({
      path: 'request.tool_choice.mode',
      description:
        'does not go together with response_format.tool, which makes the model call its tool; leave tool_choice.mode out',
    });
  }
  return found;
}

const FREE: ReadonlySet<ToolChoiceMode> = new Set([
  ToolChoiceMode.UNSPECIFIED,
  ToolChoiceMode.AUTO,
]);
