// What scripts/setup.mjs found or fetched on this machine.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { cacheDir, ROOT } from './folders.ts';

const Findings = z.object({
  natsServer: z.string().nullable(),
  model: z.string().nullable(),
  engine: z.string().nullable().optional(),
});

export interface SetupFindings {
  /** The nats-server program. */
  readonly natsServer: string | undefined;
  /** The embedded model's file. */
  readonly model: string | undefined;
  /** The module node-llama-cpp, where it is no neighbour of this package. */
  readonly engine?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function readFindings(environment: Environment = process.env): SetupFindings {
  let text: string;
  try {
    text = readFileSync(join(cacheDir(environment), 'setup.json'), 'utf8');
  } catch {
    // Set-up has not run: what is missing is said where it is needed.
    return { natsServer: undefined, model: undefined };
  }
  const { natsServer, model, engine } = Findings.parse(JSON.parse(text));
  return { natsServer: there(natsServer), model: there(model), engine: there(engine ?? null) };
}

/** Relative to the root in a checkout, which may be moved. What has gone meanwhile was not found. */
function there(file: string | null): string | undefined {
  const path = file === null ? undefined : resolve(ROOT, file);
  return path !== undefined && existsSync(path) ? path : undefined;
}
