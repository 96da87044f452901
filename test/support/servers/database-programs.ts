// The programs of database servers that tests start: PostgreSQL's and MariaDB's, of Debian's packages, where Debian
// puts them or on PATH. They run as an unprivileged user, since they refuse to run as root.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, chownSync, constants, globSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { endWithUs } from '../processes/left-behind.ts';
import { notInCi } from '../needs.ts';

const FOLDERS = [
  ...(process.env['PATH'] ?? '').split(delimiter),
  '/usr/sbin',
  ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed(),
];

function find(program: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, program)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** False when they are there, otherwise why the test is skipped. */
export function needsPrograms(...programs: readonly string[]): string | false {
  const missing = programs.find((program) => find(program) === undefined);
  return (
    notInCi() ||
    (missing !== undefined &&
      `${missing} is not here: TAILRACE_TEST_ALL=1 npm test installs it where there is apt-get`)
  );
}

/** Whom they run as: `nobody` in the place of root. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

export function giveTo(folder: string): void {
  if (NOBODY !== undefined) chownSync(folder, NOBODY.uid, NOBODY.gid);
}

export function runProgram(program: string, args: readonly string[]): void {
  const path = find(program);
  if (path === undefined) throw new Error(`There is no ${program}.`);
  const { status, stderr, stdout } = spawnSync(path, args, {
    ...NOBODY,
    cwd: '/',
    env: { PATH: `${dirname(path)}${delimiter}/usr/bin:/bin:/usr/sbin` },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${program} ended with ${status}:\n${stdout}\n${stderr}`);
}

export interface RunningProgram extends AsyncDisposable {
  /** All that it has said. */
  readonly output: () => string;
}

/** Resolves when it has said that it is ready. */
export async function startProgram(
  program: string,
  args: readonly string[],
  ready: RegExp,
): Promise<RunningProgram> {
  const path = find(program);
  if (path === undefined) throw new Error(`There is no ${program}.`);
  const child: ChildProcess = spawn(path, args, {
    ...NOBODY,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const up = Promise.withResolvers<void>();
  const add = (chunk: Buffer): void => {
    output += chunk.toString();
    if (ready.test(output)) up.resolve();
  };
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  const ended = endWithUs(child.pid);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve())).then(ended);
  child.once('error', up.reject);
  void gone.then(() => up.reject(new Error(`${program} ended:\n${output}`)));
  await up.promise;
  return {
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
