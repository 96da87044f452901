// The clients that the suite holds against one server, each with how its driver comes to run.
import { TOOLCHAINS } from '../../scripts/clients/toolchains.ts';
import { processDriver, type StartDriver } from './driver.ts';
import { curlDriver } from './drivers/local/curl.ts';
import { grpcJsDriver } from './drivers/local/grpc-js.ts';
import { typescriptDriver } from './drivers/local/typescript.ts';
import { needs } from '../support/needs.ts';

export interface Candidate {
  readonly name: string;
  /** It has a helper of ours: one that observes by hand does without what only the helper promises. */
  readonly helped: boolean;
  /** Without setting anything up. */
  readonly there: () => boolean;
  readonly prepare: () => Promise<StartDriver | { readonly reason: string }>;
}

const LOCAL: readonly Candidate[] = [
  {
    name: 'TypeScript',
    helped: true,
    there: () => true,
    prepare: () => Promise.resolve(typescriptDriver()),
  },
  {
    name: 'grpc-js',
    helped: false,
    there: () => true,
    prepare: () => Promise.resolve(grpcJsDriver()),
  },
  {
    name: 'curl',
    helped: false,
    there: () => needs('curl') === false,
    prepare: () => {
      const reason = needs('curl');
      return Promise.resolve(reason === false ? curlDriver() : { reason });
    },
  },
];

export const CANDIDATES: readonly Candidate[] = [
  ...LOCAL,
  ...TOOLCHAINS.map(({ name, there, make }) => ({
    name,
    helped: true,
    there,
    prepare: async () => {
      const made = await make();
      return 'reason' in made ? made : processDriver(made.program, made.args);
    },
  })),
];
