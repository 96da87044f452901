// Connect's own conformance suite against the one port: HTTP/1.1 and HTTP/2, the three protocols, both codecs,
// gzip and brotli, cleartext. No case is known to fail.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { goTool } from '../../../scripts/checks/tools.ts';

const FEATURES = join(import.meta.dirname, 'features.yaml');
const SERVER = join(import.meta.dirname, 'server.ts');

/** True: every case passed. */
export async function connectConformance(): Promise<boolean> {
  const suite = await goTool('connectconformance');
  const child = spawn(
    suite,
    ['--mode', 'server', '--conf', FEATURES, '--', process.execPath, SERVER],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0;
}
