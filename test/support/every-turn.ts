// How much happens in one turn of the event loop, while whatever else waits: the most of what is counted between two.

export interface Turns {
  readonly count: (much: number) => void;
  /** The most that was counted in one turn. */
  readonly end: () => number;
}

export function everyTurn(): Turns {
  let most = 0;
  let now = 0;
  let next = setImmediate(turn);
  function turn(): void {
    most = Math.max(most, now);
    now = 0;
    next = setImmediate(turn);
  }
  return {
    count: (much) => {
      now += much;
    },
    end: () => {
      clearImmediate(next);
      return Math.max(most, now);
    },
  };
}
