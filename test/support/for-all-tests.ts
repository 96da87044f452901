// What is started once for all tests of a file: it is there before the first of them, and ended after the last,
// in reverse.
import { after } from 'node:test';

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());

/** To be awaited at the top of the file. */
export async function forAllTests<T extends AsyncDisposable>(starting: Promise<T>): Promise<T> {
  try {
    return stack.use(await starting);
  } catch (error) {
    // There will be no tests, and nothing after them.
    await stack.disposeAsync();
    throw error;
  }
}
