// `npm run build`, and before `npm pack`: dist/ from what tsc makes of the source, with the page at `/` in dist/page. The package has no TypeScript of
// ours, since Node strips no types below node_modules.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { makePage } from './setup/page.mjs';

const ROOT = path.join(import.meta.dirname, '..');

fs.rmSync(path.join(ROOT, 'dist'), { recursive: true, force: true });
const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: ROOT,
  stdio: 'inherit',
});
if (status === 0) await makePage(path.join(ROOT, 'dist/page'));
process.exitCode = status ?? 1;
