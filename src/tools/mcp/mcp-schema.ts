// Whether the input schema of a stranger's tool can be worked with: told to a model, and calls held against it at a
// bounded cost.
import { createHash } from 'node:crypto';
import { KNOWN_SCHEMAS } from '../../chat/limits.ts';
import { answerSchema } from '../schemas/answer-schema.ts';
import { checkInputSchema, type SchemaCheck } from '../schemas/json-schema.ts';

/** By the hash of the text, oldest first: the same servers come with chat after chat. */
const known = new Map<string, SchemaCheck>();

export function checkToolSchema(text: string): SchemaCheck {
  const hash = createHash('sha256').update(text).digest('base64');
  const before = known.get(hash);
  if (before !== undefined) return before;
  const checked = check(text);
  known.set(hash, checked);
  if (known.size > KNOWN_SCHEMAS) known.delete(known.keys().next().value ?? '');
  return checked;
}

function check(text: string): SchemaCheck {
  const asInput = checkInputSchema(text);
  if (!asInput.ok) return asInput;
  const forCalls = answerSchema(text);
  return forCalls.ok ? asInput : forCalls;
}
