// The operator's default prompt in the file of models.
import { z } from 'zod';
import { parseTemplate, usesVariable } from '../../chat/prompt/prompt-template.ts';
import type { DefaultPrompt } from '../../chat/prompt/system-text.ts';
import type { Fault } from '../../operator/operator-file.ts';

export const PROMPT_SETTINGS = {
  default_prompt: z.string().min(1, 'a text, or left out').optional(),
  use_default_prompt: z.boolean('true or false').optional(),
  guidelines: z
    .record(
      z.string().regex(/^[a-z0-9-]{1,63}$/, 'a tenant, 1 to 63 characters of a–z, 0–9 and -'),
      z.string(),
    )
    .optional(),
};

const PromptSettings = z.object(PROMPT_SETTINGS);
type PromptSettings = Readonly<z.infer<typeof PromptSettings>>;

export function promptFaults(settings: PromptSettings): Fault[] {
  const { default_prompt: prompt, use_default_prompt: used, guidelines } = settings;
  if (prompt === undefined) {
    const wanted = 'is for default_prompt, which is missing';
    return [
      ...(used === undefined ? [] : [{ path: ['use_default_prompt'], wanted }]),
      ...(guidelines === undefined ? [] : [{ path: ['guidelines'], wanted }]),
    ];
  }
  const parsed = parseTemplate(prompt);
  if ('faults' in parsed) {
    return parsed.faults.map(({ line, message }) => {
      return { path: ['default_prompt'], wanted: message, below: line };
    });
  }
  if (guidelines === undefined || usesVariable(parsed.template, 'guidelines')) return [];
  return [{ path: ['guidelines'], wanted: 'are not used: default_prompt has no {guidelines}' }];
}

/** Of settings without faults. */
export function promptOf(settings: PromptSettings): DefaultPrompt | undefined {
  const { default_prompt: prompt, use_default_prompt: used = true } = settings;
  if (prompt === undefined) return undefined;
  const parsed = parseTemplate(prompt);
  if ('faults' in parsed) throw new Error('A default prompt with faults came past its check.');
  const guidelines = new Map(Object.entries(settings.guidelines ?? {}));
  return { template: parsed.template, used, guidelines };
}
