// The rules of the form that an answer is to have: each violation by its path.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { Violation } from './errors.ts';

/** Whether answers can be checked against the text of a schema; src/tools has it. */
export type AnswerSchemaChecker = (
  text: string,
) => { readonly ok: true } | { readonly ok: false; readonly why: string };

export function formatViolations(
  { responseFormat, messages }: ChatRequest,
  checkSchema: AnswerSchemaChecker,
): Violation[] {
  const format = responseFormat?.format;
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
