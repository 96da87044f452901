// `tailrace demo`, with all that it brings: NATS, the embedded model, a database, documents.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { BIN, startCli, startProgram, tailrace } from '../support/processes/cli.ts';
import { natsServerProgram, temporaryFolder } from '../support/processes/nats.ts';
import { needs } from '../support/needs.ts';
import { isAlive } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const NOTES = join(import.meta.dirname, '../../demo/mills.txt');

test(
  'demo --tools shows calls of a database and of documents, their results, and verified answers',
  { skip: needs('embedded model') },
  async () => {
    const { code, stdout, stderr } = await tailrace(['demo', '--tools']);
    assert.equal(code, 0, stderr + stdout);
    // What is forced and what is ours. The words of a model may be others on another processor.
    const wanted = [
      /^What is forced: /m,
      /chosen because it gets them right/,
      /^> Which mill made the most flour\?$/m,
      /^calls +database_query \{"database":"mills",/m,
      /^gets +\S/m,
      /^answers\n *\S/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
      /^> Why was Weir Mill closed\?$/m,
      /^calls +document_search \{"query":"/m,
      /^gets +\S/m,
      /^answers\n *\S/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
    ];
    let rest = stdout;
    for (const line of wanted) {
      const at = rest.search(line);
      assert.ok(at >= 0, `${line.source} is not where it should be in:\n${stdout}`);
      rest = rest.slice(at + 1);
    }
    assert.doesNotMatch(stdout, /\[\[/, 'a marker became a citation, or was none');
    for (const [, quote = ''] of stdout.matchAll(/^cites +d\d+: “(.*)”$/gm)) {
      assert.ok(readFileSync(NOTES, 'utf8').includes(quote), quote);
    }
  },
);

test('demo --tools has questions of its own, and says so', async () => {
  const { code, stderr } = await tailrace(['demo', '--tools', 'Why is the sky blue?']);
  assert.equal(code, 2);
  assert.match(stderr, /--tools has questions of its own/);
});

const ENDLESS = scripted({ fault: 'endless', interval_ms: 20 });

function environment(folder: string, modelUrl: string): Record<string, string> {
  return { TMPDIR: folder, OPENAI_BASE_URL: modelUrl, TAILRACE_NATS_SERVER: natsServerProgram() };
}

/** Of the nats-server of the one demo that keeps its files here. */
function natsPid(folder: string): number {
  const [demo = ''] = readdirSync(folder).filter((name) => name.startsWith('tailrace-demo-'));
  return Number(readFileSync(join(folder, demo, 'nats/nats-server.pid'), 'utf8'));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`a demo that ends by ${signal} leaves no server and no files behind`, async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const running = startCli(['demo', ENDLESS], { env: environment(folder.path, model.url) });
    await running.seen(/\b5:\d+ /);
    const pid = natsPid(folder.path);
    assert.ok(isAlive(pid));
    running.signal(signal);
    assert.equal((await running.ended).code, 130);
    assert.equal(isAlive(pid), false);
    assert.deepEqual(readdirSync(folder.path), []);
  });
}

test('a demo whose reader has seen enough leaves no server behind', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  const piped = ['-c', '"$0" "$@" | head -n 1', process.execPath, BIN, 'demo', ENDLESS];
  const env = environment(folder.path, model.url);
  assert.match((await startProgram('sh', piped, { env }).ended).stdout, /Tailrace serves on/);
  const pid = natsPid(folder.path);
  await until('the end of its nats-server', () => !isAlive(pid));
});
