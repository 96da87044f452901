// The operator's own MCP servers, as his file has them: read at the start, and again on SIGHUP.
import { readFile } from 'node:fs/promises';
import type { Logger } from '../chat/ports/logger.ts';
import { OperatorFileError } from '../operator/operator-file.ts';
import type { Config } from '../ops/config.ts';
import { ConfigError } from '../ops/config.ts';
import { readMcpFile } from '../tools/mcp/mcp-file.ts';
import type { OwnMcpServer } from '../tools/mcp/own-servers.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface OwnMcpServers {
  /** As they are now: what a run keeps to. */
  readonly current: () => readonly OwnMcpServer[];
  /** Reads the file again; a run goes on with what it began with. Never rejects. */
  readonly reload: () => Promise<void>;
}

/** Rejects with a ConfigError. */
export async function openMcpServers(
  config: Config,
  environment: Environment,
  logger: Logger,
): Promise<OwnMcpServers> {
  let servers = await mcpServersInFile(config, environment);
  let reading = Promise.resolve();
  const reload = async (): Promise<void> => {
    if (config.mcpFile === undefined) return;
    const fields = { file: config.mcpFile };
    try {
      servers = await mcpServersInFile(config, environment);
      logger.info(fields, 'the file of MCP servers was read again');
    } catch (error) {
      logger.error(
        { ...fields, err: error },
        'the file of MCP servers cannot be used; what was read before stays',
      );
    }
  };
  return {
    current: () => servers,
    reload: () => {
      // One after the other, so that the newest file is the one that counts.
      reading = reading.then(reload);
      return reading;
    },
  };
}

/** Those that another process of this machine has read. */
export function givenMcpServers(servers: readonly OwnMcpServer[]): OwnMcpServers {
  return { current: () => servers, reload: () => Promise.resolve() };
}

/** Rejects with a ConfigError that names the file, and the line where it is the text. */
export async function mcpServersInFile(
  { mcpFile: name }: Pick<Config, 'mcpFile'>,
  environment: Environment,
): Promise<readonly OwnMcpServer[]> {
  if (name === undefined) return [];
  try {
    return readMcpFile(name, await readFile(name, 'utf8'), environment);
  } catch (cause) {
    if (cause instanceof OperatorFileError) throw new ConfigError(cause.message);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`TAILRACE_MCP_FILE is "${name}", and it cannot be read: ${why}.`);
  }
}
