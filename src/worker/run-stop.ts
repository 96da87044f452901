// Why a run is stopped before its model is done, and what that makes of its chat.
import { runTimeout } from '../chat/decisions/deadlines.ts';
import type { End } from '../chat/decisions/terminal.ts';

/** Why a run is stopped before the model is done: the reason of its abort signal. */
export class RunStop extends Error {
  readonly why: 'cancelled' | 'hand-back' | 'lost' | 'run-timeout';

  constructor(why: RunStop['why'], message: string) {
    super(message);
    this.name = 'RunStop';
    this.why = why;
  }
}

/** The end of a chat whose run was stopped for good; undefined: it was not. */
export function endByStop(signal: AbortSignal, runTimeoutMs: number): End | undefined {
  const stop: unknown = signal.aborted ? signal.reason : undefined;
  if (!(stop instanceof RunStop)) return undefined;
  if (stop.why === 'cancelled') return { kind: 'cancelled', reason: stop.message };
  return stop.why === 'run-timeout' ? runTimeout(runTimeoutMs) : undefined;
}
