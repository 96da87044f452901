// What scripts/setup.mjs found on this machine.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const path = z
  .string()
  .nullish()
  .transform((found) => (typeof found === 'string' ? resolve(ROOT, found) : undefined));

const Findings = z.object({ natsServer: path, model: path, page: path });

export interface SetupFindings {
  /** The nats-server program. */
  readonly natsServer: string | undefined;
  /** The embedded model's file. */
  readonly model: string | undefined;
  /** The folder with the page at `/`. */
  readonly page: string | undefined;
}

export function readFindings(): SetupFindings {
  let text: string;
  try {
    text = readFileSync(resolve(ROOT, '.cache/setup.json'), 'utf8');
  } catch {
    // Set-up has not run: what is missing is said where it is needed.
    return { natsServer: undefined, model: undefined, page: undefined };
  }
  return Findings.parse(JSON.parse(text));
}
