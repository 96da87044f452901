// What a request wants of a model's reasoning.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ThinkingEffort } from '../../../gen/tailrace/v1/chat_request_pb.ts';

export interface ThinkingWish {
  readonly on: boolean;
  readonly effort: 'low' | 'medium' | 'high' | undefined;
  readonly budgetTokens: number | undefined;
  /** A model that cannot reason may answer without. */
  readonly bestEffort: boolean;
}

const EFFORTS: ReadonlyMap<ThinkingEffort, ThinkingWish['effort']> = new Map([
  [ThinkingEffort.LOW, 'low'],
  [ThinkingEffort.MEDIUM, 'medium'],
  [ThinkingEffort.HIGH, 'high'],
]);

/** Undefined: the model's own way. Who says how much, wants it on. */
export function thinkingWish({ thinking }: ChatRequest): ThinkingWish | undefined {
  if (thinking === undefined) return undefined;
  const { enabled, budgetTokens, bestEffort } = thinking;
  const effort = EFFORTS.get(thinking.effort);
  const on = enabled || effort !== undefined || budgetTokens !== undefined;
  return { on, effort, budgetTokens, bestEffort };
}
