// Whether what a model gave is the input that a tool takes, by the tool's schema.
import { answerSchema } from './answer-schema.ts';
import { isObject, type JsonObject } from './json-schema-text.ts';

export type ToolInput =
  | { readonly ok: true; readonly value: JsonObject }
  /** For the model: what is wrong with it. */
  | { readonly ok: false; readonly why: string };

/** `schema`: JSON text; empty: any object. */
export function readToolInput(schema: string, text: string): ToolInput {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, why: 'The input is no JSON. Give a JSON object that fits the schema.' };
  }
  if (!isObject(value)) {
    return { ok: false, why: 'The input must be a JSON object that fits the schema.' };
  }
  if (schema === '') return { ok: true, value };
  const compiled = answerSchema(schema);
  if (!compiled.ok) throw new Error(`The schema of the tool ${compiled.why}`);
  const verdict = compiled.schema.check(value, 'the input');
  if (verdict.fits === true) return { ok: true, value };
  const violations = verdict.fits === false ? verdict.violations.join('; ') : 'it is too large';
  return { ok: false, why: `The input does not fit the schema: ${violations}.` };
}
