// `npm run clients:gen`: see scripts/clients/generate.ts.
import { writeClients } from './clients/generate.ts';
import { makeGenerators } from './clients/toolchains.ts';

const problem = (await makeGenerators()) ?? (await writeClients());
if (problem !== undefined) {
  console.error(problem);
  process.exitCode = 1;
}
