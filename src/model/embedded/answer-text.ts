// From tokens to text that may be shown: whole characters only, and never a stop sequence.

export interface TokenText<Token> {
  /** The text that this token completes; '' while a character is still in pieces. */
  readonly push: (token: Token) => string;
}

/** Bytes that are still no character after so many tokens never will be: the model made a mistake. */
const MAX_HELD_TOKENS = 16;

/** A character may lie over several tokens; an unfinished one decodes to U+FFFD at the end. */
export function createTokenText<Token>(
  detokenize: (tokens: readonly Token[]) => string,
): TokenText<Token> {
  let held: Token[] = [];
  let shownLength = 0;
  return {
    push(token) {
      held.push(token);
      const whole = detokenize(held);
      const stable = held.length < MAX_HELD_TOKENS ? whole.replace(/\uFFFD+$/, '') : whole;
      const text = stable.slice(shownLength);
      if (stable.length === whole.length) {
        held = [];
        shownLength = 0;
      } else {
        shownLength = stable.length;
      }
      return text;
    },
  };
}

export interface StopFilter {
  /** What may be shown now; `stop` is set once a stop sequence has been met. */
  readonly push: (text: string) => { readonly text: string; readonly stop?: string };
  /** What was held back in case it became a stop sequence. */
  readonly end: () => string;
}

export function createStopFilter(stops: readonly string[]): StopFilter {
  let held = '';
  return {
    push(text) {
      held += text;
      let cut: { readonly at: number; readonly stop: string } | undefined;
      for (const stop of stops) {
        const at = held.indexOf(stop);
        if (at >= 0 && (cut === undefined || at < cut.at)) cut = { at, stop };
      }
      if (cut !== undefined) {
        const shown = held.slice(0, cut.at);
        held = '';
        return { text: shown, stop: cut.stop };
      }
      const keep = Math.max(0, ...stops.map((stop) => overlap(held, stop)));
      const shown = held.slice(0, held.length - keep);
      held = held.slice(shown.length);
      return { text: shown };
    },
    end() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** The length of the longest end of `text` with which `stop` begins. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
