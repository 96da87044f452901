import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { makeToken, tenantsByToken, type TokenRow } from '../../src/rpc/edge/auth.ts';
import { openTokensFile, parseTokens } from '../../src/rpc/edge/tokens-file.ts';
import { connectError, saying, startEdge, testSource, WAYS } from './edge.ts';

const ACME = makeToken('acme');
const OTHER = makeToken('other-1');

function rowsOf(...lines: string[]): readonly TokenRow[] {
  return parseTokens(lines.join('\n'), 'tokens');
}

function withToken(token: string) {
  return { headers: { authorization: `Bearer ${token}` } };
}

async function reasonOf(call: Promise<unknown>): Promise<string | undefined> {
  const error = await call.then(() => assert.fail('was answered'), connectError);
  assert.equal(error.code, Code.Unauthenticated);
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

test('a token picks its tenant; none and a wrong one are UNAUTHENTICATED, over every protocol', async (t) => {
  const tenants = tenantsByToken(() => rowsOf(ACME.line, OTHER.line));
  const seen: string[] = [];
  await using edge = await startEdge({
    tenants,
    observe: ({ tenant }) => {
      seen.push(tenant);
      const source = testSource();
      source.finish();
      return Promise.resolve(source);
    },
  });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const client = way.client(edge.url);
      const request = { request: saying('hi') };
      const acme = await client.initiateChatStream(request, withToken(ACME.token));
      assert.equal(acme.message, 'acme');
      const other = await client.initiateChatStream(request, withToken(OTHER.token));
      assert.equal(other.message, 'other-1');
      const observe = async (options = {}) => {
        for await (const _ of client.observeChatStream({ streamId: 'a' }, options)) assert.fail();
      };
      await observe(withToken(ACME.token));
      assert.equal(seen.pop(), 'acme');
      for (const call of [() => client.initiateChatStream(request), observe]) {
        assert.equal(await reasonOf(call()), 'TOKEN_MISSING');
      }
      const wrong = withToken(`${ACME.token}x`);
      for (const call of [() => client.initiateChatStream(request, wrong), () => observe(wrong)]) {
        assert.equal(await reasonOf(call()), 'TOKEN_UNKNOWN');
      }
    });
  }
  assert.deepEqual(edge.logged, []);
});

test('health is open, reflection is not', async () => {
  await using edge = await startEdge({ tenants: tenantsByToken(() => rowsOf(ACME.line)) });
  const transport = createGrpcTransport({ baseUrl: edge.url });
  assert.equal((await createClient(Health, transport).check({})).status, 1);
  const reflection = createClient(ServerReflection, transport);
  async function* ask() {
    yield { messageRequest: { case: 'listServices', value: '' } } as const;
  }
  const refused = reflection.serverReflectionInfo(ask())[Symbol.asyncIterator]().next();
  assert.equal(await reasonOf(refused), 'TOKEN_MISSING');
  const answer = reflection.serverReflectionInfo(ask(), withToken(ACME.token));
  for await (const { messageResponse } of answer) {
    assert.equal(messageResponse.case, 'listServicesResponse');
  }
});

test('who has no token is refused before a body is read', async () => {
  await using edge = await startEdge({ tenants: tenantsByToken(() => []) });
  const path = '/tailrace.v1.ChatStreamService/InitiateChatStream';
  const h1 = http.request(edge.url + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': 1_000_000,
      expect: '100-continue',
    },
  });
  h1.on('continue', () => assert.fail('was asked for the body'));
  h1.flushHeaders();
  const [answer] = (await once(h1, 'response')) as [http.IncomingMessage];
  assert.equal(answer.statusCode, 401);
  h1.destroy();
  const session = http2.connect(edge.url);
  const call = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
  });
  // Nothing of a body is ever sent.
  const [headers] = (await once(call, 'response')) as [http2.IncomingHttpHeaders];
  if (headers['grpc-status'] === undefined) {
    const [trailers] = (await once(call, 'trailers')) as [http2.IncomingHttpHeaders];
    assert.equal(trailers['grpc-status'], String(Code.Unauthenticated));
  }
  session.destroy();
});

test('who has a token is asked for the body that waits', async () => {
  await using edge = await startEdge({ tenants: tenantsByToken(() => rowsOf(ACME.line)) });
  const request = http.request(`${edge.url}/tailrace.v1.ChatStreamService/GetChatStream`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': 17,
      expect: '100-continue',
      ...withToken(ACME.token).headers,
    },
  });
  request.flushHeaders();
  await once(request, 'continue');
  request.end('{"stream_id":"x"}');
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  assert.equal(answer.statusCode, 200);
  answer.resume();
});

test('a tokens file may have comments, blank lines and more columns', () => {
  const text = `# tenants\n\n${ACME.line}   since=2026 # the first\r\n  ${OTHER.line}\n`;
  const rows = parseTokens(text, 'tokens');
  assert.deepEqual(
    rows.map(({ tenant }) => tenant),
    ['acme', 'other-1'],
  );
  assert.deepEqual(rows[0]?.hash, createHash('sha256').update(ACME.token).digest());
});

test('a bad line is an error that names file, line and what would be right, never the line', () => {
  const bad: readonly [string, RegExp][] = [
    [`Acme ${'0'.repeat(64)}`, /^the tenant must be/],
    ['acme', /^after the tenant .*64 hex digits; tailrace token acme /],
    ['acme tr_secret', /64 hex digits/],
    [`zeta ${ACME.line.split(' ')[1]}`, /belongs to the tenant acme/],
  ];
  for (const [line, said] of bad) {
    assert.throws(
      () => parseTokens(`${ACME.line}\n${line}\n`, '/etc/tokens'),
      ({ message }: Error) => {
        assert.match(message, /^\/etc\/tokens, line 2: /);
        assert.match(message.replace(/^.*?: /, ''), said);
        assert.doesNotMatch(message, /secret/);
        return true;
      },
    );
  }
});

async function folder(): Promise<AsyncDisposable & { readonly file: string }> {
  const path = await mkdtemp(join(tmpdir(), 'tailrace-tokens-'));
  const dispose = () => rm(path, { recursive: true });
  return { file: join(path, 'tokens'), [Symbol.asyncDispose]: dispose };
}

/** Polls: a change of a file is noticed some time after it was made. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

test(
  'a changed tokens file counts, a broken one leaves the old one in force',
  { timeout: 20_000 },
  async () => {
    await using place = await folder();
    const logged: unknown[] = [];
    await assert.rejects(
      openTokensFile(place.file, (error) => logged.push(error)),
      /ENOENT/,
    );
    await writeFile(place.file, ACME.line);
    using tokens = await openTokensFile(place.file, (error) => logged.push(error), 20);
    const names = () =>
      tokens
        .rows()
        .map(({ tenant }) => tenant)
        .join();
    assert.equal(names(), 'acme');
    await writeFile(place.file, `${ACME.line}\n${OTHER.line}\n`);
    await until(() => names() === 'acme,other-1');
    await writeFile(place.file, 'broken');
    await until(() => logged.length === 1);
    assert.equal(names(), 'acme,other-1');
    // As editors do.
    await writeFile(`${place.file}.new`, OTHER.line);
    await rename(`${place.file}.new`, place.file);
    await until(() => names() === 'other-1');
    await rm(place.file);
    await until(() => logged.length === 2);
    assert.equal(names(), 'other-1');
  },
);

test('tailrace token prints a token once and adds its line to the file', async () => {
  await using place = await folder();
  const run = promisify(execFile);
  const script = new URL('../../bin/tailrace.mjs', import.meta.url).pathname;
  await writeFile(place.file, OTHER.line);
  const env = { ...process.env, TAILRACE_TOKENS_FILE: place.file };
  const { stdout } = await run(process.execPath, [script, 'token', 'acme'], { env });
  const token = /tr_\S+/.exec(stdout)?.[0] ?? '';
  const tenants = tenantsByToken(() => parseTokens('', place.file));
  assert.throws(() => tenants.tenantOf(`Bearer ${token}`));
  const rows = parseTokens(await readFile(place.file, 'utf8'), place.file);
  assert.equal(tenantsByToken(() => rows).tenantOf(`bearer ${token}`), 'acme');
  assert.equal(rows.length, 2);
  await rm(place.file);
  await run(process.execPath, [script, 'token', 'acme'], { env });
  assert.equal((await stat(place.file)).mode & 0o777, 0o600);
  await assert.rejects(
    run(process.execPath, [script, 'token', 'Not a tenant'], { env }),
    /a–z, 0–9 and -/,
  );
});
