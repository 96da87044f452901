// The client scenarios of the Model Context Protocol's own suite that fit a client which calls
// tools, one after the other; and why the others do not fit.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FITTING = ['initialize', 'tools_call', 'sse-retry', 'auth/client-credentials-basic'];

const DISCOVERS =
  'discovers its authorization server and asks a person: here the request names the token endpoint, and nobody is there to be asked';
const NOT_FITTING: readonly (readonly [scenario: string, why: string])[] = [
  ['elicitation-sep1034-client-defaults', 'asks the user: a background chat has none'],
  [
    'auth/client-credentials-jwt',
    'authenticates by a private key, which the contract has no field for',
  ],
  ['auth/cross-app-access-complete-flow', 'exchanges a person’s token'],
  ['auth/* otherwise', DISCOVERS],
];

/** True: all that fit passed. */
export async function mcpConformance(): Promise<boolean> {
  const suite = fileURLToPath(
    import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'),
  );
  const client = join(import.meta.dirname, 'mcp-client.ts');
  const results = mkdtempSync(join(tmpdir(), 'tailrace-conformance-'));
  let failed = 0;
  try {
    for (const scenario of FITTING) {
      const command = `${process.execPath} ${client}`;
      const child = spawn(
        process.execPath,
        [suite, 'client', '--command', command, '--scenario', scenario],
        { cwd: results, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => void (said += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => void (said += chunk.toString()));
      const [code] = (await once(child, 'close')) as [number | null];
      process.stdout.write(`${code === 0 ? 'passed' : 'FAILED'}  ${scenario}\n`);
      if (code === 0) continue;
      failed++;
      process.stdout.write(`${said}\n`);
    }
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
  for (const [scenario, why] of NOT_FITTING) {
    process.stdout.write(`left out  ${scenario}: ${why}\n`);
  }
  return failed === 0;
}
