// The clients in Go, Python and Java: their own tests, and that their generated code is what the contract makes.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { program } from '../../scripts/checks/program.ts';
import { staleClients } from '../../scripts/clients/generate.ts';
import { generatorsAreThere, PYTHON, TOOLCHAINS } from '../../scripts/clients/toolchains.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
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

function notMade(client: string): string | false {
  const there = TOOLCHAINS.some((each) => each.name === client && each.there());
  return !there && (notInCi() || `the client in ${client} is not made: npm run interop makes it`);
}

for (const { name } of TOOLCHAINS) {
  const own = OWN_TESTS[name];
  if (own === undefined) continue;
  test(
    `the own tests of the client pass: ${name.split(',')[0]}`,
    { skip: notMade(name) },
    async () => {
      const { ok, output } = await program(...own);
      assert.ok(ok, output);
    },
  );
}

test(
  'the program in the README of the client in Go compiles as it stands',
  { skip: notMade('Go') },
  async () => {
    const readme = readFileSync(join(CLIENTS, 'go/README.md'), 'utf8');
    const block = /^```go\n(import \([\s\S]*?^\)\n)([\s\S]*?)^```/m.exec(readme);
    assert.ok(block);
    const [, imports = '', statements = ''] = block;
    using folder = temporaryFolder();
    const file = join(folder.path, 'main.go');
    writeFileSync(
      file,
      `package main\n${imports}
func run(ctx context.Context, token string) error {\n${statements}\n_ = answer\nreturn nil\n}
func main() { _ = run(context.Background(), "") }\n`,
    );
    // Seen as if it stood in the module, which has what it imports.
    const overlay = join(folder.path, 'overlay.json');
    const Replace = { [join(CLIENTS, 'go/examples/readme/main.go')]: file };
    writeFileSync(overlay, JSON.stringify({ Replace }));
    const out = join(folder.path, 'program');
    const args = ['build', '-overlay', overlay, '-o', out, './examples/readme'];
    const { ok, output } = await program('go', ['-C', join(CLIENTS, 'go'), ...args]);
    assert.ok(ok, output);
  },
);

test(
  'the code of the clients in Go, Python and Java is what proto/ makes',
  {
    skip:
      !generatorsAreThere() &&
      (notInCi() || 'the generators are not here: npm run clients:gen fetches them'),
  },
  async () => assert.equal(await staleClients(), undefined),
);
