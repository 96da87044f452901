// The counting tools of chaos as the model calls them and as the log has their results.
import { z } from 'zod';

/** Their MCP server, as requests name it. */
export const COUNTER = 'counter';
export const COUNTING_TOOLS = ['counter__count', 'counter__count_once'] as const;

/** `call`: the id of the call itself; `ms`: how long it takes. */
export const CountingInput = z.object({
  chat: z.string(),
  call: z.string(),
  ms: z.number().min(0).max(5_000),
});
export type CountingInput = z.infer<typeof CountingInput>;

/** The text of the result of a run. */
export function resultOfRun(run: number): string {
  return `run ${run}`;
}
