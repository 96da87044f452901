// thinking_tags in the operator's file of models: which tags, in the words that a person would use.
import { z } from 'zod';
import { THINK_TAGS, type ThinkTags } from '../dialects/think-tags.ts';

const tag = z.string().regex(/^\S{1,32}$/u, 'a tag of 1 to 32 characters without white space');
const WANTED_TAGS = 'true, false, "opened", or { open, close, opened }';
export const ThinkingTags = z.union(
  [
    z.boolean(),
    z.literal('opened'),
    z.strictObject({ open: tag, close: tag, opened: z.boolean().prefault(false) }),
  ],
  WANTED_TAGS,
);

/** Undefined: it is not said. */
export function tagsOf(
  given: z.infer<typeof ThinkingTags> | undefined,
): ThinkTags | false | undefined {
  if (given === true) return THINK_TAGS;
  if (given === 'opened') return { ...THINK_TAGS, opened: true };
  return given;
}
