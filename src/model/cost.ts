// What a call has cost, by the operator's prices. Nothing is said where the model server did not count.
import type { ModelCost, ModelPrices, ModelUsage } from '../chat/ports/model.ts';

const PRICED_TOKENS = 1_000_000;

export function costOf(usage: ModelUsage, prices: ModelPrices | undefined): ModelCost | undefined {
  const { inputTokens, outputTokens, cachedInputTokens = 0 } = usage;
  if (prices === undefined || inputTokens === undefined || outputTokens === undefined) {
    return undefined;
  }
  const cached = Math.min(cachedInputTokens, inputTokens);
  const amount =
    (inputTokens - cached) * prices.input +
    cached * (prices.cachedInput ?? prices.input) +
    outputTokens * prices.output;
  return { amount: amount / PRICED_TOKENS, currency: prices.currency };
}
