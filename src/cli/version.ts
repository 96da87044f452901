// The version of this package, as its package.json has it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../main/folders.ts';

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return version;
}
