// What a model is told before the conversation: the operator's default prompt, the caller's text, what
// tool_context holds, the caller's guidelines, in this order. The same for every attempt of a chat: its date is the day on which
// the chat was created.
import type { System } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Violation } from '../errors.ts';
import { fillTemplate, type PromptTemplate } from './prompt-template.ts';

export interface DefaultPrompt {
  readonly template: PromptTemplate;
  /** For a request that does not say. */
  readonly used: boolean;
  /** What {guidelines} is for each tenant; for others it is empty. */
  readonly guidelines: ReadonlyMap<string, string>;
}

export interface PromptFacts {
  readonly tenant: string;
  /** As the request may ask for it. */
  readonly model: string;
  readonly createdAtMs: number;
}

/** Empty: no system message is sent. `context`: of tool-context-text.ts. */
export function systemText(
  system: System | undefined,
  prompt: DefaultPrompt | undefined,
  facts: PromptFacts,
  context = '',
): string {
  const parts = [system?.text ?? '', context, system?.guidelines ?? ''];
  if (prompt !== undefined && (system?.useDefaultPrompt ?? prompt.used)) {
    const { tenant, model, createdAtMs } = facts;
    const date = new Date(createdAtMs).toISOString().slice(0, 'yyyy-mm-dd'.length);
    const guidelines = prompt.guidelines.get(tenant) ?? '';
    parts.unshift(fillTemplate(prompt.template, { date, model, tenant, guidelines }).trim());
  }
  return parts.filter((part) => part !== '').join('\n\n');
}

export function systemViolations(
  system: System | undefined,
  prompt: DefaultPrompt | undefined,
): Violation[] {
  if (system?.useDefaultPrompt !== true || prompt !== undefined) return [];
  return [
    {
      path: 'request.system.use_default_prompt',
      description:
        'is true, and the operator of this server has set no default prompt; leave it out',
    },
  ];
}
