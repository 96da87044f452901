/**
 * A code, type or parameter name that a model server gave, if it is one word that can be shown.
 * Free text is not: servers quote the prompt, and sometimes the key, in their error messages.
 */
export function identifierOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value !== 'string') return undefined;
  return /^[A-Za-z_][A-Za-z0-9_.[\]]{0,47}$/.test(value) ? value : undefined;
}
