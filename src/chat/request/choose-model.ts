// Which model a request gets: by name or alias, or the default one. Decided before anything is created.
import { ChatError } from '../errors.ts';
import type { ModelInfo } from '../ports/model.ts';

const LISTED = 20;

/** `models`: those there are, the default one first. */
export function chooseModel(wanted: string, models: readonly ModelInfo[]): ModelInfo {
  const found = wanted === '' ? models[0] : modelNamed(wanted, models);
  if (found !== undefined) return found;
  if (models.length === 0) {
    throw new ChatError(
      'MODELS_UNAVAILABLE',
      'The model server lists no models. Load one there, or name them in TAILRACE_MODELS.',
      { retryAfterMs: 5_000 },
    );
  }
  const names = models.map(({ name }) => name);
  const description = `there is no model "${wanted}"; there are: ${listed(names)}`;
  throw new ChatError('UNKNOWN_MODEL', `request.model: ${description}`, {
    violations: [{ path: 'request.model', description }],
  });
}

function modelNamed(wanted: string, models: readonly ModelInfo[]): ModelInfo | undefined {
  return (
    models.find(({ name }) => name === wanted) ??
    models.find(({ aliases }) => aliases.includes(wanted))
  );
}

/** Names for a message, the first of them where there are many. */
export function listed(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return `${names.slice(0, LISTED).join(', ')}${more}`;
}
