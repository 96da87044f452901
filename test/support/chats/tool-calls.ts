// Calls of tools that Tailrace runs: asked for, scripted for the model, and what each came to.
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import type { ScriptInput } from '../../model-server/script.ts';

export const serverTools = (...names: readonly string[]) =>
  names.map((name) => ({ kind: { case: 'server' as const, value: { name } } }));

export function callsOf(
  ...made: readonly (readonly [name: string, input: object])[]
): ScriptInput['calls'] {
  return made.map(([name, input]) => ({ name, input: JSON.stringify(input) }));
}

interface Told {
  readonly text: string;
  readonly isError: boolean;
}

/** What the log has as results, in the order of the calls: they run side by side. */
export function resultsIn(events: readonly Event[]): Told[] {
  const found = events.flatMap(({ payload }) => {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (payload.case !== 'blockStopped' || block?.case !== 'toolResult') return [];
    const [first] = block.value.content;
    const text = first?.block.case === 'text' ? first.block.value : '';
    return [{ index: payload.value.index ?? 0, text, isError: block.value.isError ?? false }];
  });
  return found
    .toSorted((one, other) => one.index - other.index)
    .map(({ text, isError }) => ({ text, isError }));
}
