// The npm packages, exactly as package-lock.json says, the Node that everything else runs on among them.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {
  exists,
  folderBytes,
  lastLines,
  megabytes,
  ROOT,
  run,
  say,
  seconds,
  SetupError,
} from './ground.mjs';

const OWN_NODE = path.join(
  ROOT,
  'node_modules/.bin',
  process.platform === 'win32' ? 'node.cmd' : 'node',
);

/** npm writes node_modules/.package-lock.json last, so if it agrees with the lock file the install is whole. */
export function packagesAreThere() {
  if (!exists(OWN_NODE)) return false;
  try {
    const wanted = JSON.parse(
      fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'),
    ).packages;
    const found = JSON.parse(
      fs.readFileSync(path.join(ROOT, 'node_modules', '.package-lock.json'), 'utf8'),
    ).packages;
    for (const [name, entry] of Object.entries(wanted)) {
      if (name === '') continue;
      const there = found[name];
      // Optional ones are missing where they do not exist for the machine.
      if (
        there === undefined
          ? !entry.optional && !entry.devOptional
          : there.version !== entry.version
      )
        return false;
    }
    return Object.keys(found).every((name) => name in wanted);
  } catch {
    return false;
  }
}

/** Under `npm run` and `npx` this is the npm that was called, on the Node that it was called with. */
export function npm(args, folder, label) {
  const cli = process.env.npm_execpath;
  const viaNode = cli !== undefined && /npm-cli\.c?js$/.test(cli) && exists(cli);
  const node = process.env.npm_node_execpath ?? process.execPath;
  const outside = node.includes('node_modules') ? 'node' : node;
  const all = [...args, '--no-audit', '--no-fund', '--loglevel=error'];
  return run(viaNode ? outside : 'npm', viaNode ? [cli, ...all] : all, {
    label,
    cwd: folder,
    // The model's engine ships prebuilt; where it does not, it is left out instead of compiled for half an hour.
    env: { NODE_LLAMA_CPP_SKIP_DOWNLOAD: 'true' },
    progress: () => `, ${megabytes(folderBytes(path.join(folder, 'node_modules')))}`,
  });
}

export async function installPackages() {
  const startMs = Date.now();
  say(
    'npm packages: installing exactly what package-lock.json says (about 0.6 GB on disk when done) …',
  );
  const { ok, output } = await npm(['ci'], ROOT, 'npm packages');
  if (!ok) {
    throw new SetupError(
      `npm ci failed.\n    ${lastLines(output, 12)}\n` +
        '  It needs npm, and the network or a filled npm cache. Running this again is safe.\n' +
        '  If package.json and package-lock.json disagree, run npm install once and commit both.',
    );
  }
  const own = spawnSync(OWN_NODE, ['--version'], { encoding: 'utf8' });
  if (own.status !== 0) {
    throw new SetupError(
      'the Node that the npm package "node" brings does not run here.\n' +
        `    ${(own.stderr || own.error?.message || 'no output').trim()}\n` +
        '  Either install scripts are switched off (npm config get ignore-scripts must be false),\n' +
        '  or this system has another C library than the usual one (Alpine: use a Debian-based image).',
    );
  }
  say(`npm packages: done in ${seconds(startMs)}, on Node ${own.stdout.trim().slice(1)}`);
}
