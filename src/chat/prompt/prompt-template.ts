// The operator's default prompt: a text with variables in braces. A name that is not there is an error of
// its line, so that no caller's model is ever told "{dat}". Other braces are text; {{name}} is {name}.

const VARIABLES = ['date', 'model', 'tenant', 'guidelines'] as const;
export type PromptVariable = (typeof VARIABLES)[number];

export interface PromptTemplate {
  readonly parts: readonly (string | { readonly variable: PromptVariable })[];
}

export interface TemplateFault {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

const TOKEN = /\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}/g;

export function parseTemplate(
  text: string,
): { readonly template: PromptTemplate } | { readonly faults: readonly TemplateFault[] } {
  const parts: (string | { variable: PromptVariable })[] = [];
  const faults: TemplateFault[] = [];
  let from = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, literal, name = ''] = match;
    parts.push(text.slice(from, match.index));
    from = match.index + whole.length;
    const variable = VARIABLES.find((each) => each === name);
    if (literal !== undefined) parts.push(`{${literal}}`);
    else if (variable !== undefined) parts.push({ variable });
    else {
      const line = text.slice(0, match.index).split('\n').length;
      const names = VARIABLES.map((each) => `{${each}}`).join(', ');
      const message = `has no variable {${name}}; there are ${names}, and {{${name}}} is the text {${name}}`;
      faults.push({ line, message });
    }
  }
  parts.push(text.slice(from));
  return faults.length > 0 ? { faults } : { template: { parts } };
}

export function usesVariable({ parts }: PromptTemplate, name: PromptVariable): boolean {
  return parts.some((part) => typeof part !== 'string' && part.variable === name);
}

export function fillTemplate(
  { parts }: PromptTemplate,
  values: Readonly<Record<PromptVariable, string>>,
): string {
  return parts.map((part) => (typeof part === 'string' ? part : values[part.variable])).join('');
}
