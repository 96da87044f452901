// One thing that `tailrace doctor` looked at, and what it found.
import { DOCTOR_CLOCK_MS } from '../../chat/limits.ts';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'wrong' | 'skipped';
  readonly said: string;
  readonly remedy?: string;
}

/** Clocks by which times and deadlines would mislead; `of` names the other one. */
export function clockFinding(check: string, of: string, differenceMs: number): Finding {
  const seconds = (Math.abs(differenceMs) / 1_000).toFixed(1);
  const said =
    Number(seconds) === 0
      ? `${of} agrees with this machine’s`
      : `${of} is ${seconds} s ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine’s`;
  if (Math.abs(differenceMs) <= DOCTOR_CLOCK_MS) return { check, state: 'ok', said };
  const remedy =
    'let NTP keep the clocks of all machines; times, expiries and deadlines go by them.';
  return { check, state: 'warning', said, remedy };
}

export function wrong(check: string, said: string, remedy: string): Finding {
  return { check, state: 'wrong', said, remedy };
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
