// What a session is opened with: the server that a request gives by its url, or the operator's own of that name.
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { BlockList } from 'node:net';
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { McpServerSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import { type AddressGuard, createAddressGuard } from '../fetch/address-guard.ts';
import { McpFailure } from './mcp-failure.ts';
import { type McpProgram, type OwnMcpServer, ownServer } from './own-servers.ts';

export interface McpTarget {
  /** With all that it takes to reach it, wherever that stands. */
  readonly server: McpServer;
  readonly guard: AddressGuard;
  /** The tools that the operator lets anyone have of it; empty: all. */
  readonly allowedTools: readonly string[];
  /** Undefined: it is at the server's url. */
  readonly program: McpProgram | undefined;
  /** The chat that uses it. */
  readonly whose: ChatKey;
  /** Hears what a program says on its standard error. */
  readonly onLine: (line: string) => void;
}

/** The operator names them: wherever they are, they may be asked. */
const ANYWHERE = createAddressGuard(everyAddress());

/** Throws a McpFailure where there is no such server any more. */
export function targetOf(
  server: McpServer,
  guard: AddressGuard,
  {
    own,
    whose,
    onLine,
  }: {
    readonly own: readonly OwnMcpServer[];
    readonly whose: ChatKey;
    readonly onLine: (line: string) => void;
  },
): McpTarget {
  if (server.url !== '')
    return { server, guard, allowedTools: [], program: undefined, whose, onLine };
  const found = ownServer(own, server.name, whose.tenant);
  if (found === undefined) {
    throw new McpFailure(
      'is not in the operator’s file of MCP servers, as this worker has read it',
    );
  }
  const { reach, allowedTools, timeoutMs } = found;
  const timeout = timeoutMs === undefined ? undefined : durationFromMs(timeoutMs);
  const filled = create(McpServerSchema, { ...server, timeout: server.timeout ?? timeout });
  if (reach.kind === 'address') {
    const { kind: _, ...address } = reach;
    Object.assign(filled, address);
  }
  const program = reach.kind === 'program' ? reach : undefined;
  return { server: filled, guard: ANYWHERE, allowedTools, program, whose, onLine };
}

function everyAddress(): BlockList {
  const list = new BlockList();
  list.addSubnet('0.0.0.0', 0, 'ipv4');
  list.addSubnet('::', 0, 'ipv6');
  return list;
}
