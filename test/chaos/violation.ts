// The rules that a history is held against, by name.

export const RULES = [
  'lost-chat',
  'created-twice',
  'not-listed',
  'gap',
  'repeat',
  'reorder',
  'different-bytes',
  'ended-without-end',
  'cursor-refused',
  'internal-error',
  'observer-stuck',
  'two-ends',
  'event-after-end',
  'wrong-last-sequence',
  'wrong-hash',
  'wrong-answer',
  'tool-result-doubled',
  'tool-result-missing',
  'tool-run-repeated',
  'tool-run-after-result',
  'tool-result-without-run',
  'tool-progress-stray',
  'cancelled-revived',
  'status-untrue',
  'status-went-back',
  'deleted-revived',
  'deleted-id-reused',
  'call-without-claim',
  'call-after-end',
  'unexplained-attempt',
  'unexplained-error',
  'unexplained-failure',
  'process-died',
] as const;
export type Rule = (typeof RULES)[number];

export interface Violation {
  readonly rule: Rule;
  /** Empty where it is about no chat. */
  readonly chat: string;
  readonly detail: string;
}

export type Say = (rule: Rule, detail: string) => void;
