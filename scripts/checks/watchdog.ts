// Loaded into every test process: one that hangs, or that leaves something open behind its last test, is ended and fails
// instead of holding up everything.
import { after } from 'node:test';
import { isMainThread } from 'node:worker_threads';

const FILE_TIMEOUT_MS = 10 * 60_000;
const LEFT_OPEN_MS = 30_000;

function endIn(ms: number, what: string): void {
  const end = () => {
    console.error(`${what}; open: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit(1);
  };
  // It keeps nothing alive: a process that ends by itself never notices it.
  setTimeout(end, ms).unref();
}

// Workers and forked children inherit the option that loads this.
if (isMainThread && process.argv[1]?.endsWith('.test.ts') === true) {
  endIn(FILE_TIMEOUT_MS, `the test file ran for ${FILE_TIMEOUT_MS / 60_000} minutes`);
  after(() => {
    endIn(LEFT_OPEN_MS, `still running ${LEFT_OPEN_MS / 1000} s after the last test`);
  });
}
