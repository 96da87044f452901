// The example programs of the clients in Go, Python and Java, as their users start them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { program } from '../../scripts/checks/program.ts';
import { PYTHON, TOOLCHAINS } from '../../scripts/clients/toolchains.ts';
import { startModelServer } from '../model-server/model-server.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { notInCi } from '../support/needs.ts';

const CLIENTS = join(import.meta.dirname, '../../clients');
const QUESTION = 'What is a tailrace?';

interface Example {
  readonly command: string;
  readonly args: (address: string) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const java = join(CLIENTS, 'java');

const EXAMPLES: Readonly<Record<string, () => Example>> = {
  Go: () => ({
    command: 'go',
    args: (address) => [
      '-C',
      join(CLIENTS, 'go'),
      'run',
      './examples/watch',
      '-addr',
      address,
      QUESTION,
    ],
  }),
  'Python, sync': () => ({
    command: PYTHON,
    args: (address) => [join(CLIENTS, 'python/examples/watch.py'), '--address', address, QUESTION],
    env: { PYTHONPATH: join(CLIENTS, 'python/src') },
  }),
  Java: () => {
    const others = readFileSync(join(java, 'target/classpath.txt'), 'utf8').trim();
    const classpath = [join(java, 'target/classes'), others].join(delimiter);
    return {
      command: 'java',
      args: (address) => ['-cp', classpath, join(java, 'examples/Watch.java'), address, QUESTION],
    };
  },
};

for (const { name, there, make } of TOOLCHAINS) {
  const example = EXAMPLES[name];
  if (example === undefined) continue;
  const language = name.split(',')[0] ?? name;
  const skip =
    !there() && (notInCi() || `the client in ${language} is not made: npm run interop makes it`);
  test(`the example of the client in ${language} shows a chat's answer`, { skip }, async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    await using tailrace = await startTailraceProcess({
      TAILRACE_DATA_DIR: folder.path,
      OPENAI_BASE_URL: model.url,
    });
    await make();
    const { command, args, env } = example();
    const { host } = new URL(tailrace.url);
    const { ok, output } = await program(command, args(host), { GOFLAGS: '', ...env });
    assert.ok(ok, output);
    assert.match(output, /^stream [0-9a-f-]{36}$/m);
    assert.match(output, /^Water that has done its work at the wheel leaves by the tailrace \.$/m);
    assert.match(output, /CHAT_STREAM_STATUS_COMPLETED/);
  });
}
