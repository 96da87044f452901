// The child process of the embedded model: load, listen on loopback, report the port, serve. It
// lives exactly as long as its stdin is open, so it cannot outlive a parent that is killed.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ChildReport, type ChildSettings, parseChildSettings } from './child-protocol.ts';
import { createCompletionsServer } from './completions-server.ts';
import { EngineFailure, loadEngine } from './engine.ts';

process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdin.resume();
process.on('SIGTERM', () => process.exit(0));
// Ctrl-C and the end of a terminal go to the whole process group; only the parent knows when the last chat is
// put away.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);

try {
  report({ kind: 'ready', port: await serve(parseChildSettings(process.argv[2] ?? '')) });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  report({
    kind: 'failed',
    reason: error instanceof EngineFailure ? error.reason : 'BROKEN',
    message,
  });
  process.exitCode = 1;
  // The parent closes stdin when it has read the line.
}

async function serve(settings: ChildSettings): Promise<number> {
  const server = createCompletionsServer(await loadEngine(settings), settings);
  server.listen({ host: '127.0.0.1', port: settings.port });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new EngineFailure('PORT_UNUSABLE', error);
  }
  const address = server.address() as AddressInfo;
  return address.port;
}

function report(line: ChildReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
