// What one chat may take of time, turns, calls and tokens: its request's limits, each within the
// operator's, and what they say of the next call of the model.
import type { Duration } from '@bufbuild/protobuf/wkt';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { ChatRequest, Limits } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Usage } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Violation } from '../errors.ts';
import {
  FIRST_TOKEN_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  MAX_MODEL_CALLS,
  MAX_TURNS,
  RUN_TIMEOUT_MS,
} from '../limits.ts';

export interface ChatLimits {
  readonly runTimeoutMs: number;
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxTurns: number;
  readonly maxModelCalls: number;
  /** Of input and output together; undefined: no bound. */
  readonly maxTotalTokens: number | undefined;
}

export function limitsOf({ limits }: ChatRequest): ChatLimits {
  return {
    runTimeoutMs: within(limits?.runTimeout, RUN_TIMEOUT_MS),
    firstTokenTimeoutMs: within(limits?.firstTokenTimeout, FIRST_TOKEN_TIMEOUT_MS),
    idleTimeoutMs: within(limits?.idleTimeout, IDLE_TIMEOUT_MS),
    maxTurns: Math.min(limits?.maxTurns ?? MAX_TURNS, MAX_TURNS),
    maxModelCalls: Math.min(limits?.maxModelCalls ?? MAX_MODEL_CALLS, MAX_MODEL_CALLS),
    maxTotalTokens: limits?.maxTotalTokens,
  };
}

/** A timer takes whole milliseconds, and at least one. */
function within(asked: Duration | undefined, mostMs: number): number {
  return asked === undefined ? mostMs : Math.min(Math.max(1, Math.ceil(durationMs(asked))), mostMs);
}

/** Limits past the operator's: a promise that would not be kept. */
export function limitViolations({ limits }: ChatRequest): Violation[] {
  if (limits === undefined) return [];
  const found: Violation[] = [];
  for (const [field, mostMs] of TIMES) {
    const asked = limits[field];
    if (asked === undefined || durationMs(asked) <= mostMs) continue;
    found.push({
      path: `request.limits.${SNAKE[field]}`,
      description: `is ${durationMs(asked) / 1_000} s; this server allows at most ${mostMs / 1_000} s`,
    });
  }
  for (const [field, most] of COUNTS) {
    const asked = limits[field];
    if (asked === undefined || asked <= most) continue;
    found.push({
      path: `request.limits.${SNAKE[field]}`,
      description: `is ${asked}; this server allows at most ${most}`,
    });
  }
  return found;
}

type Time = 'runTimeout' | 'firstTokenTimeout' | 'idleTimeout';
type Count = 'maxTurns' | 'maxModelCalls';
const TIMES: readonly (readonly [Time & keyof Limits, number])[] = [
  ['runTimeout', RUN_TIMEOUT_MS],
  ['firstTokenTimeout', FIRST_TOKEN_TIMEOUT_MS],
  ['idleTimeout', IDLE_TIMEOUT_MS],
];
const COUNTS: readonly (readonly [Count & keyof Limits, number])[] = [
  ['maxTurns', MAX_TURNS],
  ['maxModelCalls', MAX_MODEL_CALLS],
];
const SNAKE: Readonly<Record<Time | Count, string>> = {
  runTimeout: 'run_timeout',
  firstTokenTimeout: 'first_token_timeout',
  idleTimeout: 'idle_timeout',
  maxTurns: 'max_turns',
  maxModelCalls: 'max_model_calls',
};

/** Whether the model may be asked once more. */
export type NextCall =
  | {
      readonly may: true;
      /** What is left of the budget; undefined: no bound. The call's input is not known yet. */
      readonly outputTokens: number | undefined;
    }
  | { readonly may: false; readonly stopReason: StopReason };

/** `turn`: that the call is for, from 1; a repair is a turn of its own. */
export function nextCall(limits: ChatLimits, used: Usage | undefined, turn: number): NextCall {
  if (turn > limits.maxTurns) return { may: false, stopReason: StopReason.TURN_LIMIT };
  if ((used?.modelCalls ?? 0) >= limits.maxModelCalls) {
    return { may: false, stopReason: StopReason.BUDGET };
  }
  if (limits.maxTotalTokens === undefined) return { may: true, outputTokens: undefined };
  const left = limits.maxTotalTokens - (used?.inputTokens ?? 0) - (used?.outputTokens ?? 0);
  if (left <= 0) return { may: false, stopReason: StopReason.BUDGET };
  return { may: true, outputTokens: left };
}
