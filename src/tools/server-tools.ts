// Tailrace's own tools, by the names that a request asks for them by, each bound to what the request lets
// it use. What does not belong here: how any of them works; each has a file of its own.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ServerTool } from '../chat/tool-port.ts';

type Make = (request: ChatRequest) => ServerTool;

const MAKERS: ReadonlyMap<string, Make> = new Map<string, Make>();

/** Whether there is a tool of that name in this version. */
export function isServerTool(name: string): boolean {
  return MAKERS.has(name);
}

/** Those that the request asks for. */
export function serverTools(request: ChatRequest): ServerTool[] {
  return request.tools.flatMap(({ kind }) => {
    if (kind.case !== 'server') return [];
    const make = MAKERS.get(kind.value.name);
    return make === undefined ? [] : [make(request)];
  });
}
