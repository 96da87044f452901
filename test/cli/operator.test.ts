// The commands of who runs Tailrace: doctor, config check, token and serve itself, with what they say where
// something is wrong.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as z from 'zod';
import { startModelServer } from '../model-server/model-server.ts';
import { startCli, tailrace, tailraceJson } from '../support/processes/cli.ts';
import { anyTool, startMcpServer } from '../support/servers/mcp-server.ts';
import {
  natsServerProgram,
  startNats,
  temporaryFolder,
  type TestNats,
} from '../support/processes/nats.ts';
import { natsUrl, startTestTailrace } from '../support/processes/tailrace.ts';

const MCP_PROGRAM = join(import.meta.dirname, '../support/servers/stdio-mcp-server.ts');
const folder = temporaryFolder();
let nats: TestNats;

before(async () => {
  nats = await startNats();
});

after(async () => {
  await nats[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const Doctor = z.strictObject({
  ok: z.boolean(),
  findings: z.array(
    z.strictObject({
      check: z.string(),
      state: z.enum(['ok', 'warning', 'wrong', 'skipped']),
      said: z.string(),
      remedy: z.string().optional(),
    }),
  ),
});

async function examined(env: Readonly<Record<string, string>>) {
  const { code, stdout, stderr } = await tailrace(['doctor', '--json'], { env });
  assert.ok(code === 0 || code === 1, stderr);
  const report = Doctor.parse(JSON.parse(stdout));
  assert.equal(code, report.ok ? 0 : 1);
  for (const { state, remedy } of report.findings) {
    assert.ok(state !== 'wrong' || (remedy ?? '') !== '', 'what is wrong has a remedy');
  }
  const of = (check: string) => report.findings.filter((finding) => finding.check === check);
  return { ...report, of };
}

test('doctor finds nothing wrong with a sound one: NATS, its streams and clock, models, server', async () => {
  await using model = await startModelServer();
  const env = { OPENAI_BASE_URL: model.url, TAILRACE_NATS_URL: natsUrl(nats.access) };
  await using server = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
  const report = await examined({ ...env, TAILRACE_ADDRESS: server.url });
  assert.deepEqual(
    report.findings.filter(({ state }) => state !== 'ok'),
    [],
  );
  const checks = report.findings.map(({ check }) => check);
  for (const check of ['nats', 'stream COMMANDS', 'stream EVENTS', 'clock', 'models', 'server']) {
    assert.ok(checks.includes(check), `${check} in ${checks.join(', ')}`);
  }
  assert.match(report.of('nats')[0]?.said ?? '', /nats-server \d+\.\d+/);
  const text = await tailrace(['doctor'], { env: { ...env, TAILRACE_ADDRESS: server.url } });
  assert.equal(text.code, 0);
  assert.match(text.stdout, /^ok +stream EVENTS +\d+ records/m);
});

test('doctor names what is wrong and what to do: NATS away, models away, nobody at the address', async () => {
  const report = await examined({
    TAILRACE_NATS_URL: 'nats://127.0.0.1:1',
    OPENAI_BASE_URL: 'http://127.0.0.1:1/v1',
    TAILRACE_ADDRESS: 'http://127.0.0.1:1',
  });
  assert.equal(report.ok, false);
  for (const check of ['nats', 'models', 'server']) {
    assert.equal(report.of(check)[0]?.state, 'wrong', check);
  }
  assert.match(report.of('nats')[0]?.remedy ?? '', /TAILRACE_NATS_URL/);
});

test('doctor names a data folder that is a file', async () => {
  const file = join(folder.path, 'a-file');
  await writeFile(file, '');
  const report = await examined({ TAILRACE_DATA_DIR: file, TAILRACE_ADDRESS: '127.0.0.1:1' });
  assert.equal(report.of('store')[0]?.state, 'wrong');
  assert.match(report.of('store')[0]?.said ?? '', /a-file is no folder/);
});

test('doctor names wrong settings, and a model that its server does not list', async () => {
  const wrong = await examined({ TAILRACE_LISTEN: 'nowhere' });
  assert.match(wrong.of('configuration')[0]?.said ?? '', /TAILRACE_LISTEN is "nowhere"/);
  assert.equal(wrong.of('nats')[0]?.state, 'skipped');

  await using model = await startModelServer();
  const models = join(folder.path, 'models.yaml');
  await writeFile(
    models,
    `servers: [{ name: one, base_url: "${model.url}" }]
models: [{ name: mine, server: one, upstream_model: misspelt }]
`,
  );
  const listed = await examined({
    TAILRACE_MODELS_FILE: models,
    TAILRACE_NATS_URL: natsUrl(nats.access),
  });
  assert.match(listed.of('models of one')[0]?.said ?? '', /not among them: misspelt/);
  assert.equal(listed.of('models of one')[0]?.state, 'warning');
});

test('doctor uses once what tools lead to: MCP servers, the embeddings endpoint, folders of SQLite', async () => {
  await using model = await startModelServer();
  await using mcp = await startMcpServer(({ method }) =>
    method === 'tools/list' ? { result: { tools: [anyTool('search')] } } : undefined,
  );
  const models = join(folder.path, 'embedding-models.yaml');
  await writeFile(
    models,
    `servers: [{ name: one, base_url: "${model.url}" }]
models: [{ name: mine, server: one, upstream_model: test-model }]
embeddings: { server: one, model: test-embedding }
`,
  );
  const program = { command: process.execPath, args: [MCP_PROGRAM, 'a'] };
  const servers = [
    { name: 'far', url: mcp.url, allowed_tools: ['search', 'serch'] },
    { name: 'near', ...program, tenants: ['acme'] },
    { name: 'gone', url: 'http://127.0.0.1:1/mcp' },
    { name: 'ends', command: process.execPath, args: [join(folder.path, 'nothing.mjs')] },
  ];
  const mcpFile = join(folder.path, 'mcp.json');
  await writeFile(mcpFile, JSON.stringify({ servers }));
  const env = {
    TAILRACE_NATS_URL: natsUrl(nats.access),
    TAILRACE_MODELS_FILE: models,
    TAILRACE_MCP_FILE: mcpFile,
    TAILRACE_SQLITE_FOLDERS: `${folder.path},${join(folder.path, 'none')},${models}`,
  };
  const { of } = await examined(env);
  const told = (check: string) => of(check).map(({ state, said }) => `${state}: ${said}`);
  assert.deepEqual(told('embeddings'), [`ok: test-embedding at ${model.url}, 256 dimensions`]);
  assert.deepEqual(told('mcp far'), [`warning: ${mcp.url} has 1 tool, not among them: serch`]);
  assert.deepEqual(told('mcp near'), [`ok: ${process.execPath} has 6 tools`]);
  assert.match(
    told('mcp gone')[0] ?? '',
    /^wrong: http:\/\/127\.0\.0\.1:1\/mcp cannot be used: it /,
  );
  assert.match(told('mcp ends')[0] ?? '', /^wrong: .* cannot be used: it .*; its last words: /);
  assert.equal(of('sqlite')[0]?.state, 'ok');
  assert.match(told('sqlite')[1] ?? '', /^wrong: .*none cannot be read: ENOENT/);
  assert.equal(told('sqlite')[2], `wrong: ${models} is no folder`);

  model.embeddings.fault = { kind: 'status', status: 401 };
  const refused = await examined(env);
  assert.equal(refused.of('embeddings')[0]?.state, 'wrong');
  assert.match(refused.of('embeddings')[0]?.remedy ?? '', /`embeddings` in TAILRACE_MODELS_FILE/);

  const api = await examined({ ...env, TAILRACE_ROLES: 'api' });
  const checks = api.findings.map(({ check }) => check);
  assert.ok(!checks.some((check) => /^(?:mcp|sqlite|embeddings)/.test(check)), 'of workers alone');
});

test('config check says what there is, and with 1 what a start would refuse', async () => {
  const Checked = z.looseObject({ ok: z.boolean(), faults: z.array(z.string()) });
  const right = Checked.parse(await tailraceJson(['config', 'check']));
  assert.deepEqual([right.ok, right.faults], [true, []]);
  const { stdout } = await tailrace(['config', 'check']);
  assert.match(
    stdout,
    /^The environment is right\.\n  api and worker, listens on 127\.0\.0\.1:\d+\n/,
  );
  assert.match(stdout, /\n  NATS embedded, its store in \/.*\n  model server embedded\n$/);
  const env = { TAILRACE_LISTEN: 'nowhere' };
  const wrong = await tailrace(['config', 'check'], { env });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^TAILRACE_LISTEN is "nowhere"; it must be /);
  const asJson = await tailrace(['config', 'check', '--json'], { env });
  assert.equal(asJson.code, 1);
  assert.equal(Checked.parse(JSON.parse(asJson.stdout)).faults.length, 1);
});

test('an api without a model server is refused by config check and doctor, as a start refuses it', async () => {
  const env = { TAILRACE_ROLES: 'api', TAILRACE_NATS_URL: natsUrl(nats.access) };
  const checked = await tailrace(['config', 'check'], { env });
  assert.equal(checked.code, 1);
  assert.match(checked.stderr, /^The embedded model serves a process with the role worker\. Set /);
  assert.equal((await tailrace(['api'], { env })).stderr.split('\n').at(-2), checked.stderr.trim());
  assert.equal((await examined(env)).of('configuration')[0]?.said, checked.stderr.trim());
});

test('token --json gives the token, and its line is in the file', async () => {
  const file = join(folder.path, 'tokens');
  const { code, stdout } = await tailrace(['token', 'acme', '--json'], {
    env: { TAILRACE_TOKENS_FILE: file },
  });
  assert.equal(code, 0);
  const Token = z.strictObject({
    tenant: z.literal('acme'),
    token: z.string().startsWith('tr_'),
    line: z.string(),
    added_to: z.literal(file),
  });
  assert.equal(await readFile(file, 'utf8'), `${Token.parse(JSON.parse(stdout)).line}\n`);
});

test('what a client sets does not hinder a start, and serve ends with 0 when it is told to', async () => {
  await using model = await startModelServer();
  const data = join(folder.path, 'data');
  await mkdir(data);
  const running = startCli(['serve'], {
    cwd: folder.path,
    env: {
      TAILRACE_LISTEN: '127.0.0.1:0',
      TAILRACE_DATA_DIR: data,
      TAILRACE_NATS_SERVER: natsServerProgram(),
      OPENAI_BASE_URL: model.url,
      TAILRACE_ADDRESS: 'http://elsewhere',
      TAILRACE_TOKEN: 'tr_elsewhere',
    },
  });
  await running.seen(/Tailrace serves on http:\/\/127\.0\.0\.1:\d+\n/);
  const inUse = await examined({
    TAILRACE_DATA_DIR: data,
    TAILRACE_NATS_SERVER: natsServerProgram(),
    OPENAI_BASE_URL: model.url,
  });
  assert.match(inUse.of('store')[0]?.said ?? '', /in use by the Tailrace of process \d+/);
  running.signal('SIGTERM');
  const { code, stdout } = await running.ended;
  assert.equal(code, 0);
  assert.match(stdout, /^Tailrace serves on \S+\n$/, 'stdout is that line alone');
});

test('a worker alone needs a NATS that others reach too, and says so', async () => {
  for (const command of ['api', 'worker']) {
    const { code, stderr } = await tailrace([command]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`TAILRACE_ROLES is "${command}", and TAILRACE_NATS_URL is not set`),
    );
  }
});
