// A short key for each state. Its parts are immutable and shared between states, so each part is
// written out once and known by a number from then on.
import type { World } from './state.ts';

export function stateKeys(): (world: World) => string {
  const numbers = new Map<string, number>();
  const known = new WeakMap<object, number>();
  const number = (text: string): number => {
    const found = numbers.get(text);
    if (found !== undefined) return found;
    numbers.set(text, numbers.size);
    return numbers.size - 1;
  };
  const part = (value: object): number => {
    const found = known.get(value);
    if (found !== undefined) return found;
    const made = number(JSON.stringify(value));
    known.set(value, made);
    return made;
  };
  const list = (values: readonly object[]): number => {
    const found = known.get(values);
    if (found !== undefined) return found;
    const made = number(values.map(part).join());
    known.set(values, made);
    return made;
  };
  return (world) => {
    const { moment, commandSeq, logSeq, losses, deleteAnswered, made } = world;
    const parts = [
      list(world.commands),
      list(world.log),
      list(world.flights),
      list(world.workers),
      list(world.loops),
      list(world.sweeps),
      list(world.calls),
      part(world.left),
    ];
    const rest = `${moment},${commandSeq},${logSeq},${losses},${deleteAnswered ? 1 : 0},${made}`;
    // Two units each, so that a key is a few dozen bytes.
    return `${rest};${String.fromCharCode(...parts.flatMap((n) => [n & 0xffff, n >>> 16]))}`;
  };
}
