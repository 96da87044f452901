// MCP servers of the operator's own, which requests name without an address: programs that are run here, and
// addresses with what they want to know of who asks. Who may use which is decided here, and nothing is read.
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';

export interface OwnMcpServer {
  readonly name: string;
  /** Undefined: all. */
  readonly tenants: readonly string[] | undefined;
  /** By the server's own names; empty: all. */
  readonly allowedTools: readonly string[];
  /** For one answer, where the request says nothing; undefined: as for any. */
  readonly timeoutMs: number | undefined;
  readonly reach: McpProgram | McpAddress;
}

export interface McpProgram {
  readonly kind: 'program';
  readonly command: string;
  readonly args: readonly string[];
  /** All of it: nothing is inherited beside. */
  readonly env: Readonly<Record<string, string>>;
  /** Of those the values that are secret. */
  readonly secrets: readonly string[];
  /** Undefined: where Tailrace was started. */
  readonly cwd: string | undefined;
}

export interface McpAddress extends Pick<
  McpServer,
  'url' | 'headers' | 'bearerToken' | 'oauthClientCredentials'
> {
  readonly kind: 'address';
}

/** Those that a tenant may name. */
export function namesFor(own: readonly OwnMcpServer[], tenant: string): string[] {
  return own.filter((each) => isFor(each, tenant)).map(({ name }) => name);
}

export function ownServer(
  own: readonly OwnMcpServer[],
  name: string,
  tenant: string,
): OwnMcpServer | undefined {
  return own.find((each) => each.name === name && isFor(each, tenant));
}

function isFor({ tenants }: OwnMcpServer, tenant: string): boolean {
  return tenants === undefined || tenants.includes(tenant);
}
