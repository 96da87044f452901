// What goes on in the processes of a test is seen by nobody unless the test fails; then the newest lines of each are
// told, so that a failure on a machine that is far away can be understood.
import { afterEach, beforeEach } from 'node:test';

const LINES = 30;
const LINE_CHARS = 600;
/** Of a file whose tests run side by side any may have failed by any of them. */
const TOLD_AT_ONCE = 12;

interface Teller {
  readonly name: string;
  readonly lines: () => readonly string[];
}

let tellers: Teller[] = [];

/** `lines` is called when a test of this file has failed; what has been told is not told again. */
export function tellIfItFails(name: string, lines: () => readonly string[]): void {
  tellers.push({ name, lines });
  if (tellers.length > TOLD_AT_ONCE) tellers.shift();
}

function tell(): void {
  for (const { name, lines } of tellers) {
    const newest = lines().slice(-LINES);
    if (newest.length === 0) continue;
    console.log(`--- ${name}, its last lines:`);
    for (const line of newest) console.log(line.slice(0, LINE_CHARS));
  }
  tellers = [];
}

// Processes of tests import this as well: they have no tests.
if (process.argv[1]?.endsWith('.test.ts') === true) {
  let running = 0;
  beforeEach(() => {
    running++;
  });
  afterEach((context) => {
    running--;
    if (Reflect.get(context, 'passed') === false) tell();
    if (running === 0) tellers = [];
  });
}
