// Which model a request gets: by name, or the default one. Decided before anything is created.
import { ChatError } from './errors.ts';
import type { ModelInfo } from './model-port.ts';

const LISTED = 20;

/** `models`: those there are, the default one first. */
export function chooseModel(wanted: string, models: readonly ModelInfo[]): string {
  const found = wanted === '' ? models[0] : models.find((model) => model.name === wanted);
  if (found !== undefined) return found.name;
  if (models.length === 0) {
    throw new ChatError(
      'MODELS_UNAVAILABLE',
      'The model server lists no models. Load one there, or name them in TAILRACE_MODELS.',
      { retryAfterMs: 5_000 },
    );
  }
  const names = models.slice(0, LISTED).map((model) => model.name);
  const more = models.length > LISTED ? ` and ${models.length - LISTED} more` : '';
  const description = `there is no model "${wanted}"; there are: ${names.join(', ')}${more}`;
  throw new ChatError('UNKNOWN_MODEL', `request.model: ${description}`, {
    violations: [{ path: 'request.model', description }],
  });
}
