// For tests that hold something against us that not every machine has:
//   test('grpcurl lists the services', { skip: needs('grpcurl') }, async () => …)
// Such a test is skipped with a loud line, and with TAILRACE_TEST_ALL=1 that is a failure. What is not for CI at all,
// since it installs programs by the system's package manager or takes minutes, is skipped there with a reason of its own:
//   { skip: notInCi() || needs('chromium') }
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { IN_CI, NOT_IN_CI } from '../../scripts/checks/tools.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What scripts/setup.mjs found, as absolute paths. */
export function setUp(): {
  readonly natsServer: string | undefined;
  readonly model: string | undefined;
  readonly page: string | undefined;
} {
  const found: unknown = JSON.parse(readFileSync(join(ROOT, '.cache/setup.json'), 'utf8'));
  const pathOf = (key: string): string | undefined => {
    const value: unknown =
      typeof found === 'object' && found !== null ? Reflect.get(found, key) : undefined;
    return typeof value === 'string' ? resolve(ROOT, value) : undefined;
  };
  return { natsServer: pathOf('natsServer'), model: pathOf('model'), page: pathOf('page') };
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** False when it is there, otherwise why the test is skipped. */
export function needs(what: 'embedded model' | (string & {})): string | false {
  if (what === 'embedded model') {
    return setUp().model === undefined && 'the embedded model is not here: npm run setup';
  }
  return !onPath(what) && `${what} is not on PATH: TAILRACE_TEST_ALL=1 npm test fetches it`;
}

/** Why a test is skipped that runs on developers' machines alone; false there. */
export function notInCi(): string | false {
  return IN_CI && NOT_IN_CI;
}
