// Whether JSON values are equal: objects whatever the order of their names, and whatever the names are.

/** Takes what looking further costs; throws where that is too much. */
export type Spend = (cost: number) => void;

/** Whether a value is one of these. */
export function oneOfThese(allowed: readonly unknown[], spend: Spend): (value: unknown) => boolean {
  const texts = new Set(allowed.map((each) => canonical(each, FREE)));
  const objects = allowed.some(isObject);
  return (value) => (!isObject(value) || objects) && texts.has(canonical(value, spend));
}

export function areDifferent(items: readonly unknown[], spend: Spend): boolean {
  const seen = new Set<string>();
  for (const item of items) {
    const text = canonical(item, spend);
    if (seen.has(text)) return false;
    seen.add(text);
  }
  return true;
}

const FREE: Spend = () => undefined;
const VALUE_COST = 4;
const COST_PER_CHAR = 0.25;

/** The same text for equal values alone. Infinity, which JSON.parse makes of 1e400, has one too. */
function canonical(value: unknown, spend: Spend): string {
  spend(VALUE_COST);
  if (Array.isArray(value)) return `[${value.map((each) => canonical(each, spend)).join()}]`;
  if (isObject(value)) {
    const names = Object.keys(value).toSorted();
    return `{${names.map((name) => `${word(name, spend)}:${canonical(Reflect.get(value, name), spend)}`).join()}}`;
  }
  if (typeof value === 'string') return word(value, spend);
  return value === 0 ? '0' : String(value);
}

function word(text: string, spend: Spend): string {
  spend(text.length * COST_PER_CHAR);
  return JSON.stringify(text);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
