// The openai SDK as every client of a model server here has it.
import OpenAI from 'openai';
import type { ServerSpec } from '../settings/registry-spec.ts';

/** Everything is said, so that the SDK takes nothing from the environment behind config's back. */
export function createSdk(
  { baseUrl, apiKey, headers }: Pick<ServerSpec, 'baseUrl' | 'apiKey' | 'headers'>,
  fetch: typeof globalThis.fetch,
): OpenAI {
  return new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    defaultHeaders: { ...headers, ...(apiKey === undefined && { authorization: null }) },
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    // Its debug level prints prompts.
    logLevel: 'off',
    maxRetries: 0,
    // Ours are shorter; this one only has to stay out of the way. The longest that a timer takes.
    timeout: 2 ** 31 - 1,
    fetch,
  });
}
