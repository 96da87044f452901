// The clients in Go, Python and Java: their own tests, and that their generated code is what the contract makes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { program } from '../../scripts/checks/program.ts';
import { staleClients } from '../../scripts/clients/generate.ts';
import { generatorsAreThere, PYTHON, TOOLCHAINS } from '../../scripts/clients/toolchains.ts';
import { notInCi } from '../support/needs.ts';

const CLIENTS = join(import.meta.dirname, '../../clients');

/** What was set up is known to have what its tests need. */
const OWN_TESTS: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  Go: ['go', ['-C', join(CLIENTS, 'go'), 'test', './...']],
  'Python, sync': [
    PYTHON,
    ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', join(CLIENTS, 'python')],
  ],
  Java: ['mvn', ['-q', '-B', '-o', '-f', join(CLIENTS, 'java'), 'test']],
};

for (const { name, there } of TOOLCHAINS) {
  const own = OWN_TESTS[name];
  if (own === undefined) continue;
  const skip =
    !there() && (notInCi() || `the client in ${name} is not made: npm run interop makes it`);
  test(`the own tests of the client pass: ${name.split(',')[0]}`, { skip }, async () => {
    const { ok, output } = await program(...own);
    assert.ok(ok, output);
  });
}

test(
  'the code of the clients in Go, Python and Java is what proto/ makes',
  {
    skip:
      !generatorsAreThere() &&
      (notInCi() || 'the generators are not here: npm run clients:gen fetches them'),
  },
  async () => assert.equal(await staleClients(), undefined),
);
