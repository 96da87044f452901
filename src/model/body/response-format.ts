// The form of the answer that a request asks for, as the body says it: alike for all servers.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';

/** Without `strict` the servers' own default: what comes is checked in either case. */
export function responseFormatOf({
  responseFormat,
}: ChatRequest): Readonly<Record<string, unknown>> | undefined {
  const format = responseFormat?.format;
  if (format?.case !== 'jsonSchema') return undefined;
  const { name, schema, strict } = format.value;
  // The door has parsed it.
  const json_schema = { name, schema: JSON.parse(schema) as unknown, ...(strict && { strict }) };
  return { response_format: { type: 'json_schema', json_schema } };
}
