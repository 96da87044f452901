// A disk that is soon full: a tmpfs of its own, where this user may mount one.
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './nats.ts';

export interface SmallDisk extends Disposable {
  readonly path: string;
  readonly freeBytes: () => number;
  /** Something else takes all but this much of the disk. */
  readonly fillUp: (exceptBytes: number) => void;
  /** What took it goes. */
  readonly makeRoom: () => void;
}

/** False where it can be had, otherwise why the test is skipped. */
export function needsSmallDisk(): string | false {
  try {
    smallDisk(1)[Symbol.dispose]();
    return false;
  } catch {
    return 'a tmpfs cannot be mounted here: it needs root on Linux';
  }
}

export function smallDisk(mebibytes: number): SmallDisk {
  const folder = temporaryFolder();
  const { path } = folder;
  const filler = join(path, 'something-else');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path], {
      stdio: 'ignore',
    });
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  return {
    path,
    freeBytes,
    fillUp: (exceptBytes) => writeFileSync(filler, Buffer.alloc(freeBytes() - exceptBytes)),
    makeRoom: () => rmSync(filler),
    [Symbol.dispose]: () => {
      execFileSync('umount', ['-l', path]);
      folder[Symbol.dispose]();
    },
  };
}
