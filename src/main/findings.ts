// What scripts/setup.mjs found or fetched on this machine.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { cacheDir, isCheckout, ROOT } from './folders.ts';

const path = z.string().nullish();
const Findings = z.object({ natsServer: path, model: path, engine: path, page: path });

export interface SetupFindings {
  /** The nats-server program. */
  readonly natsServer: string | undefined;
  /** The embedded model's file. */
  readonly model: string | undefined;
  /** The module node-llama-cpp, where it is no neighbour of this package. */
  readonly engine?: string | undefined;
  /** The folder with the page at `/`. */
  readonly page: string | undefined;
}

/** scripts/build.mjs makes it. */
const PACKED_PAGE = join(ROOT, 'dist/page');

type Environment = Readonly<Record<string, string | undefined>>;

export function readFindings(environment: Environment = process.env): SetupFindings {
  let text: string;
  try {
    text = readFileSync(join(cacheDir(environment), 'setup.json'), 'utf8');
  } catch {
    // Set-up has not run: what is missing is said where it is needed.
    return {
      natsServer: undefined,
      model: undefined,
      page: isCheckout() ? undefined : PACKED_PAGE,
    };
  }
  const { natsServer, model, engine, page } = Findings.parse(JSON.parse(text));
  return {
    natsServer: there(natsServer),
    model: there(model),
    engine: there(engine),
    page: isCheckout() ? there(page) : PACKED_PAGE,
  };
}

/** Relative to the root in a checkout, which may be moved. What has gone meanwhile was not found. */
function there(file: string | null | undefined): string | undefined {
  if (typeof file !== 'string') return undefined;
  const path = resolve(ROOT, file);
  return existsSync(path) ? path : undefined;
}
