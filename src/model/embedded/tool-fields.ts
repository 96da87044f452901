// What a request says of tools: those that there are, whether one must be called, and earlier calls with their
// results as the model reads them. It calls a tool only where it must, since so small a model cannot choose.
import * as z from 'zod';
import { type GrammarSource } from './json-schema.ts';
import { Refusal } from './refusal.ts';
import { callGrammar } from './tool-call.ts';

const MAX_TOOLS = 128;

const name = z
  .string()
  .regex(/^[\w-]{1,64}$/, { error: 'expected 1 to 64 characters of A–Z, a–z, 0–9, _ and -' });

export const toolsField = z
  .array(
    z.strictObject({
      type: z.literal('function', { error: 'expected "function"' }),
      function: z.strictObject({
        name,
        description: z.string().default(''),
        parameters: z.record(z.string(), z.unknown()).default({}),
        // The arguments keep to the schema as far as the grammar can hold them, whatever this says.
        strict: z.boolean().nullish(),
      }),
    }),
  )
  .max(MAX_TOOLS);
type Tools = z.infer<typeof toolsField>;

export const toolChoiceField = z.union(
  [
    z.enum(['auto', 'none', 'required']),
    z.strictObject({ type: z.literal('function'), function: z.strictObject({ name }) }),
  ],
  { error: 'expected "auto", "none", "required" or {"type":"function","function":{"name":…}}' },
);
type ToolChoice = z.infer<typeof toolChoiceField>;

export const earlierCalls = z.array(
  z.strictObject({
    id: z.string(),
    type: z.literal('function'),
    function: z.strictObject({ name, arguments: z.string() }),
  }),
);

/** Where the answer of a model that must call begins; SmolLM2's own word for it. */
export const CALL_BEGINS = '<tool_call>\n';

/** An assistant message as the model has written it. */
export function saidText(text: string, calls: z.infer<typeof earlierCalls>): string {
  const called = calls.map(({ function: { name: called, arguments: given } }) => {
    return `${CALL_BEGINS}{"name": ${JSON.stringify(called)}, "arguments": ${given}}\n</tool_call>`;
  });
  return [text, ...called].filter((part) => part !== '').join('\n');
}

/** For the system text; '' where there are none. */
export function toolsText(tools: Tools): string {
  if (tools.length === 0) return '';
  const listed = tools.map(({ function: { name: called, description } }) => {
    return `${called}: ${description}`;
  });
  return `You have these tools:\n${listed.join('\n')}`;
}

/** Of a request whose answer must be a call; undefined: it is text. */
export function forcedCall(tools: Tools, choice: ToolChoice): GrammarSource | undefined {
  if (choice === 'auto' || choice === 'none') return undefined;
  const callable =
    choice === 'required'
      ? tools
      : tools.filter(({ function: tool }) => tool.name === choice.function.name);
  if (callable.length === 0) {
    throw new Refusal(400, 'invalid_value', `'tool_choice' names no tool that is among 'tools'.`, {
      param: 'tool_choice',
    });
  }
  return callGrammar(callable.map(({ function: tool }) => tool));
}
