// How each kind of model server is told to reason, and how much, and how it takes reasoning back. What it
// cannot be told is a warning.
import type { ContentBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import type { ThinkingWish } from '../../chat/rules/thinking-wish.ts';
import { detailsOf } from './reasoning-details.ts';

export interface ThinkingForm {
  /** It can be told how hard. */
  readonly effort: boolean;
  /** It can be told how many tokens. */
  readonly budget: boolean;
  /** It refuses to be told so for a model that cannot reason; else that changes nothing. */
  readonly refusesOthers: boolean;
  /** What this is in the request's body. */
  readonly body: (wish: ThinkingWish) => Readonly<Record<string, unknown>>;
}

/** OpenAI and Ollama. */
export const effortAlone: ThinkingForm = {
  effort: true,
  budget: false,
  refusesOthers: true,
  body: ({ on, effort }) => ({ reasoning_effort: on ? (effort ?? 'medium') : 'none' }),
};

export const sglangThinking: ThinkingForm = {
  effort: true,
  budget: false,
  refusesOthers: false,
  body: templateBody,
};

/** With a budget it must have been started with a reasoning parser, and refuses otherwise. */
export const vllmThinking: ThinkingForm = {
  effort: true,
  budget: true,
  refusesOthers: false,
  body: (wish) => ({
    ...templateBody(wish),
    ...(wish.budgetTokens === undefined ? {} : { thinking_token_budget: wish.budgetTokens }),
  }),
};

export const llamaCppThinking: ThinkingForm = {
  effort: true,
  budget: true,
  refusesOthers: false,
  body: (wish) => ({
    ...templateBody(wish),
    ...(wish.budgetTokens === undefined ? {} : { thinking_budget_tokens: wish.budgetTokens }),
  }),
};

/** One of the three, never two. */
export const openRouterThinking: ThinkingForm = {
  effort: true,
  budget: true,
  refusesOthers: false,
  body: ({ on, effort, budgetTokens }) => {
    if (!on) return { reasoning: { effort: 'none' } };
    if (budgetTokens !== undefined) return { reasoning: { max_tokens: budgetTokens } };
    return { reasoning: effort === undefined ? { enabled: true } : { effort } };
  },
};

/**
 * The models' own chat templates have the switch, under one name or the other (Qwen, GLM and most:
 * enable_thinking; DeepSeek, Kimi: thinking); a template that has neither is not troubled by them.
 */
function templateBody({ on, effort }: ThinkingWish): Readonly<Record<string, unknown>> {
  return {
    chat_template_kwargs: { enable_thinking: on, thinking: on },
    ...(effort === undefined ? {} : { reasoning_effort: effort }),
  };
}

/** Under which name an assistant message holds what the model had thought. */
export type ThoughtsForm = 'reasoning' | 'reasoning_content' | 'reasoning_details';

/** The thinking blocks of an assistant message, in the server's form; undefined: it takes none. */
export function handedBack(
  content: readonly ContentBlock[],
  form: ThoughtsForm | undefined,
): Readonly<Record<string, unknown>> {
  const thoughts = content.flatMap(({ block }) => (block.case === 'thinking' ? [block.value] : []));
  if (thoughts.length === 0 || form === undefined) return {};
  const text = thoughts.map((thought) => thought.text).join('');
  if (form !== 'reasoning_details') return { [form]: text };
  // Only this form has a place for signatures; OpenRouter takes a plain string where there are none.
  if (thoughts.every(({ signature }) => signature === '')) return { reasoning: text };
  return {
    reasoning_details: thoughts.flatMap(
      (thought, index) =>
        detailsOf(thought) ?? [
          {
            type: 'reasoning.text',
            text: thought.text,
            ...(thought.signature === '' ? {} : { signature: thought.signature }),
            index,
          },
        ],
    ),
  };
}
