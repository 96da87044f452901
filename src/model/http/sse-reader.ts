// Server-sent events out of bytes that may be cut anywhere: inside a line end, inside a character.
// It works on Buffers: a line is decoded once, when it is whole, so no character is ever halved.

export interface SseReader {
  /** Takes what the socket gave. Events are handed over before this returns. */
  readonly push: (chunk: Buffer) => void;
  /** The bytes are over: hands over an event that only lacks its blank line. */
  readonly end: () => void;
}

export interface SseHandler {
  /** `last`: the stream ended without the event's blank line, so `data` may be cut. */
  readonly event: (data: string, name: string, last: boolean) => void;
  /** A line, or the lines of one event, passed `maxBytes`; nothing more is read. */
  readonly tooLong: () => void;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const EMPTY = Buffer.alloc(0);

export function createSseReader(handler: SseHandler, maxBytes: number): SseReader {
  // A line without its end. Grows by doubling, so many small chunks cost no more than one large.
  let held = EMPTY;
  let heldBytes = 0;
  let skipLineFeed = false;
  let atStart = true;
  let stopped = false;
  // The event so far. Nearly all have one data line: no array for those.
  let data: string | undefined;
  let dataBytes = 0;
  let name = '';

  function stop(): void {
    stopped = true;
    handler.tooLong();
  }

  function hold(chunk: Buffer, from: number, to: number): void {
    const needed = heldBytes + (to - from);
    if (needed > maxBytes) return stop();
    if (needed > held.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * held.length));
      held.copy(larger, 0, 0, heldBytes);
      held = larger;
    }
    chunk.copy(held, heldBytes, from, to);
    heldBytes = needed;
  }

  function dispatch(last: boolean): void {
    const whole = data;
    const eventName = name;
    data = undefined;
    dataBytes = 0;
    name = '';
    if (whole !== undefined) handler.event(whole, eventName, last);
  }

  function takeLine(bytes: Buffer, lineStart: number, to: number): void {
    let from = lineStart;
    if (atStart) {
      atStart = false;
      if (bytes.subarray(from, Math.min(to, from + 3)).equals(BYTE_ORDER_MARK)) from += 3;
    }
    if (from === to) return dispatch(false);
    if (startsWith(bytes, from, to, 'data')) {
      const start = valueStart(bytes, from + 4, to);
      dataBytes += to - start;
      if (dataBytes > maxBytes) return stop();
      const text = bytes.toString('utf8', start, to);
      data = data === undefined ? text : `${data}\n${text}`;
    } else if (startsWith(bytes, from, to, 'event')) {
      name = bytes.toString('utf8', valueStart(bytes, from + 5, to), to);
    }
    // Comments, ids and retry times say nothing to a model client.
  }

  return {
    push(chunk) {
      let from = 0;
      if (skipLineFeed && chunk.length > 0) {
        skipLineFeed = false;
        if (chunk[0] === LF) from = 1;
      }
      // Each is looked for once per chunk and place: streams that use one never pay for the other.
      let lf = chunk.indexOf(LF, from);
      let cr = chunk.indexOf(CR, from);
      while (!stopped && (lf !== -1 || cr !== -1)) {
        const endsInCr = cr !== -1 && (lf === -1 || cr < lf);
        const end = endsInCr ? cr : lf;
        if (heldBytes > 0) {
          hold(chunk, from, end);
          if (stopped) return;
          const lineBytes = heldBytes;
          heldBytes = 0;
          takeLine(held, 0, lineBytes);
        } else if (end - from > maxBytes) {
          return stop();
        } else {
          takeLine(chunk, from, end);
        }
        from = end + 1;
        if (endsInCr) {
          if (from === chunk.length) skipLineFeed = true;
          else if (chunk[from] === LF) from += 1;
          cr = chunk.indexOf(CR, from);
        }
        if (lf !== -1 && lf < from) lf = chunk.indexOf(LF, from);
      }
      if (!stopped && from < chunk.length) hold(chunk, from, chunk.length);
    },
    end() {
      if (stopped) return;
      stopped = true;
      if (heldBytes > 0) takeLine(held, 0, heldBytes);
      dispatch(true);
    },
  };
}

/** Is the line this field, with a value or without? */
function startsWith(bytes: Buffer, from: number, to: number, field: string): boolean {
  const end = from + field.length;
  if (end > to) return false;
  for (let i = 0; i < field.length; i++) {
    if (bytes[from + i] !== field.charCodeAt(i)) return false;
  }
  return end === to || bytes[end] === COLON;
}

function valueStart(bytes: Buffer, afterName: number, to: number): number {
  if (afterName >= to) return to;
  const value = afterName + 1;
  return value < to && bytes[value] === SPACE ? value + 1 : value;
}
