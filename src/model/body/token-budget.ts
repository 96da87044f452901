// The most tokens of one answer: the request's max_tokens, else the operator's default, within what is
// left of the chat's budget.
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelCall } from '../../chat/ports/model.ts';
import type { SamplingDefaults } from '../settings/registry-spec.ts';

/** Undefined: nothing is said, and the model's own limit counts. */
export function mostTokens(call: ModelCall, defaults: SamplingDefaults): number | undefined {
  const most = Math.min(wanted(call, defaults), call.limits.outputTokens ?? Infinity);
  return most === Infinity ? undefined : most;
}

/** An answer that is cut because the budget has ended says so. */
export function budgetStop(
  call: ModelCall,
  defaults: SamplingDefaults,
  stopReason: StopReason,
  outputTokens: number | undefined,
): StopReason {
  const most = mostTokens(call, defaults) ?? Infinity;
  if (stopReason !== StopReason.MAX_TOKENS || most >= wanted(call, defaults)) return stopReason;
  // Less than that: the model's own limit was the nearer one.
  return (outputTokens ?? most) >= most ? StopReason.BUDGET : stopReason;
}

function wanted({ request }: ModelCall, defaults: SamplingDefaults): number {
  const said = request.maxTokens ?? defaults.max_tokens;
  return typeof said === 'number' ? said : Infinity;
}
