// Values of flags as people type them. What a request may hold is the server's to say; here is only what a
// number, a time or a pair looks like.
import { InvalidArgumentError } from 'commander';

export function parseNumber(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number)) {
    throw new InvalidArgumentError('It must be a number.');
  }
  return number;
}

export function parseWhole(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

export function parseDurationMs(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ''] ?? Number.NaN);
  if (Number.isFinite(ms)) return ms;
  throw new InvalidArgumentError('It must be a time with its unit, such as 90s, 5m, 24h or 7d.');
}

/** A time itself, or how long ago it was. */
export function parseTime(text: string): Date {
  if (/^[\d.]+[a-z]+$/.test(text)) return new Date(Date.now() - parseDurationMs(text));
  const time = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError(
    'It must be a time, such as 2026-11-28T18:00:00Z, or how long ago, such as 2h.',
  );
}

type AddPair = (
  text: string,
  before?: Readonly<Record<string, string>>,
) => Readonly<Record<string, string>>;

/** Pairs of such a form, as often as one is given; each name once. */
export function addPair(form: 'key=value' | 'id=text'): AddPair {
  return (text, before = {}) => {
    const at = text.indexOf('=');
    if (at < 1) throw new InvalidArgumentError(`It must be ${form}.`);
    const name = text.slice(0, at);
    if (Object.hasOwn(before, name)) {
      throw new InvalidArgumentError(`"${name}" has a value already.`);
    }
    return { ...before, [name]: text.slice(at + 1) };
  };
}

/** As often as it is given. */
export function addText(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
