// What Tailrace stands on, looked at from where it runs: Node, the configuration, NATS, the model servers. Each thing
// with what is wrong and what to do. Nothing is started or changed.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { DOCTOR_CLOCK_MS, DOCTOR_LOOK_MS } from '../chat/limits.ts';
import { createRegistry } from '../model/registry.ts';
import { oneServer, type RegistrySpec } from '../model/registry-spec.ts';
import { dataDirInUse } from '../nats/data-lock.ts';
import {
  inspectNats,
  NATS_MINIMUM_TEXT,
  type NatsSight,
  type StreamSight,
} from '../nats/inspect.ts';
import type { Config } from '../ops/config.ts';
import { parseTokens } from '../rpc/tokens-file.ts';
import { type CheckedConfig, checkConfig } from './check-config.ts';
import { readFindings } from './findings.ts';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'wrong' | 'skipped';
  readonly said: string;
  readonly remedy?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export async function examine(environment: Environment): Promise<Finding[]> {
  const checked = await checkConfig(environment);
  const first: Finding[] = [
    { check: 'node', state: 'ok', said: `${process.versions.node}, ${process.execPath}` },
    ...ofConfig(checked),
  ];
  if (!checked.ok) {
    const said = 'not looked at before the configuration is right';
    return [
      ...first,
      { check: 'nats', state: 'skipped', said },
      { check: 'models', state: 'skipped', said },
    ];
  }
  const { config, spec } = checked;
  const rest = await Promise.all([
    tokensOf(config),
    config.nats === undefined
      ? embeddedNats(config, environment)
      : externalNats(config.nats, config),
    modelsOf(config, spec, environment),
  ]);
  return [...first, ...rest.flat()];
}

/** Clocks by which times and deadlines would mislead; `of` names the other one. */
export function clockFinding(check: string, of: string, differenceMs: number): Finding {
  const seconds = (Math.abs(differenceMs) / 1_000).toFixed(1);
  const said = `${of} is ${seconds} s ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine’s`;
  if (Math.abs(differenceMs) <= DOCTOR_CLOCK_MS) return { check, state: 'ok', said };
  const remedy =
    'let NTP keep the clocks of all machines; times, expiries and deadlines go by them.';
  return { check, state: 'warning', said, remedy };
}

function ofConfig(checked: CheckedConfig): Finding[] {
  const check = 'configuration';
  if (checked.ok) {
    const { config } = checked;
    const said = `${[...config.roles].join(' and ')}, listens on ${config.listen.host}:${config.listen.port}`;
    return [{ check, state: 'ok', said }];
  }
  const remedy = 'set it as the line says; README.md has all variables.';
  return checked.faults.map((said) => ({ check, state: 'wrong', said, remedy }));
}

async function tokensOf({ tokensFile }: Config): Promise<Finding[]> {
  const check = 'tokens';
  if (tokensFile === undefined) {
    return [{ check, state: 'ok', said: 'none: one tenant, and only this machine may call' }];
  }
  try {
    const rows = parseTokens(await readFile(tokensFile, 'utf8'), tokensFile);
    const tenants = new Set(rows.map(({ tenant }) => tenant));
    const said = `${tokensFile}: ${rows.length} tokens of ${tenants.size} tenants`;
    if (rows.length > 0) return [{ check, state: 'ok', said }];
    return [
      {
        check,
        state: 'warning',
        said,
        remedy: 'nobody can call: `tailrace token <tenant>` makes one.',
      },
    ];
  } catch (error) {
    return [
      wrong(
        check,
        `${tokensFile} cannot be used: ${textOf(error)}`,
        '`tailrace token <tenant>` makes a line for it.',
      ),
    ];
  }
}

async function embeddedNats(config: Config, environment: Environment): Promise<Finding[]> {
  const { dataDir } = config;
  const findings: Finding[] = [];
  const program = config.natsServerProgram ?? readFindings(environment).natsServer;
  if (program === undefined) {
    findings.push({
      check: 'nats',
      state: 'ok',
      said: 'embedded; its program is fetched at the first start',
    });
  } else {
    findings.push(await programFinding(program));
  }
  const inUse = dataDirInUse(dataDir);
  const folder = await folderFinding(dataDir);
  if (inUse === false || folder.state === 'wrong') return [...findings, folder];
  const by = inUse.holder === undefined ? 'a Tailrace' : `the Tailrace of process ${inUse.holder}`;
  const said = `${folder.said}, in use by ${by}, which looks after its NATS itself`;
  return [...findings, { ...folder, said }];
}

async function programFinding(program: string): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], {
      timeout: DOCTOR_LOOK_MS,
    });
    const version = /v(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] ?? '?';
    return { check: 'nats', state: 'ok', said: `embedded, nats-server ${version}, ${program}` };
  } catch (error) {
    return wrong(
      'nats',
      `${program} does not run: ${textOf(error)}`,
      'set TAILRACE_NATS_SERVER to a nats-server that does, or leave it out.',
    );
  }
}

const LITTLE_BYTES = 1024 ** 3;

async function folderFinding(dataDir: string): Promise<Finding> {
  const check = 'store';
  // The first one that is there: a start makes the rest.
  for (let folder = dataDir; ; folder = dirname(folder)) {
    try {
      await access(folder, constants.W_OK);
      const { bavail, bsize } = await statfs(folder);
      const said = `${dataDir}, ${gib(bavail * bsize)} free`;
      if (bavail * bsize > LITTLE_BYTES) return { check, state: 'ok', said };
      return {
        check,
        state: 'warning',
        said,
        remedy: 'give it room: with a full store new chats are refused.',
      };
    } catch (error) {
      if (isMissing(error) && folder !== dirname(folder)) continue;
      return wrong(
        check,
        `${folder} cannot be written to: ${textOf(error)}`,
        'set TAILRACE_DATA_DIR to a folder that can.',
      );
    }
  }
}

async function externalNats(nats: NonNullable<Config['nats']>, config: Config): Promise<Finding[]> {
  const servers = nats.servers.join(', ');
  let sight: NatsSight;
  try {
    sight = await inspectNats({ ...nats, replicas: config.natsReplicas });
  } catch (error) {
    return [
      wrong(
        'nats',
        `${servers} cannot be used: ${textOf(error)}`,
        'start it, or look at address, user and password in TAILRACE_NATS_URL.',
      ),
    ];
  }
  const findings: Finding[] = [];
  const said = `${servers}, nats-server ${sight.version}, answers in ${sight.rttMs} ms`;
  findings.push(
    sight.newEnough
      ? { check: 'nats', state: 'ok', said }
      : wrong('nats', said, `Tailrace needs nats-server ${NATS_MINIMUM_TEXT} or newer.`),
  );
  if (!sight.wholePayload) {
    const few = `it takes messages up to ${sight.maxPayloadBytes} bytes, so larger requests are refused`;
    findings.push({
      check: 'nats',
      state: 'warning',
      said: few,
      remedy: 'set max_payload: 9MB in its configuration for requests up to 8 MiB.',
    });
  }
  if (sight.noJetStream !== undefined) {
    findings.push(
      wrong(
        'jetstream',
        sight.noJetStream,
        'switch JetStream on for the server and the account of TAILRACE_NATS_URL.',
      ),
    );
  }
  for (const stream of sight.streams) findings.push(streamFinding(stream));
  const known = sight.streams.find(({ stored }) => stored !== undefined)?.stored;
  if (known !== undefined) findings.push(clockFinding('clock', 'the clock of NATS', known.clockMs));
  return findings;
}

function streamFinding({ name, stored }: StreamSight): Finding {
  const check = `stream ${name}`;
  if (stored === undefined)
    return { check, state: 'ok', said: 'not there yet; the first start makes it' };
  if (stored.unfit !== undefined) {
    return wrong(check, stored.unfit, 'as it says; a start would refuse the stream.');
  }
  const copies = stored.replicas === 1 ? '1 copy' : `${stored.replicas} copies`;
  const leader = stored.leader === undefined ? '' : `, leader ${stored.leader}`;
  const said = `${stored.messages} records, ${gib(stored.bytes)}, ${copies}${leader}`;
  if (stored.lagging.length > 0) {
    return {
      check,
      state: 'warning',
      said: `${said}; not up to date: ${stored.lagging.join(', ')}`,
      remedy: 'start those servers, or wait until they have caught up.',
    };
  }
  if (!stored.outdated) return { check, state: 'ok', said };
  return {
    check,
    state: 'warning',
    said: `${said}; its settings are of another version or TAILRACE_NATS_REPLICAS`,
    remedy: 'the next start changes them.',
  };
}

async function modelsOf(
  config: Config,
  inFile: RegistrySpec | undefined,
  environment: Environment,
): Promise<Finding[]> {
  const { modelServer, models, defaultModel } = config;
  if (inFile === undefined && modelServer === undefined) {
    const there = readFindings(environment).model !== undefined;
    const said = there
      ? 'the embedded one'
      : 'the embedded one, which is fetched at the first start';
    return [{ check: 'models', state: 'ok', said }];
  }
  const spec = inFile ?? oneServer({ baseUrl: '', ...modelServer, models, defaultModel });
  return Promise.all(
    spec.servers.map(async (server): Promise<Finding> => {
      const check = inFile === undefined ? 'models' : `models of ${server.name}`;
      // All that it lists, whatever of it is offered.
      const registry = createRegistry({
        servers: [{ ...server, discover: true }],
        models: [],
        defaultModel: undefined,
      });
      try {
        const listed = await registry.listModels(AbortSignal.timeout(DOCTOR_LOOK_MS));
        const names = new Set(listed.map(({ name }) => name));
        const missing = spec.models
          .filter((model) => model.server === server.name && !names.has(model.upstreamModel))
          .map(({ upstreamModel }) => upstreamModel);
        const said = `${server.baseUrl} lists ${names.size}`;
        if (missing.length === 0) return { check, state: 'ok', said };
        return {
          check,
          state: 'warning',
          said: `${said}, not among them: ${missing.join(', ')}`,
          remedy: 'look at the spelling; some servers serve what they do not list.',
        };
      } catch (error) {
        return wrong(
          check,
          `${server.baseUrl} cannot be used: ${textOf(error)}`,
          'start it, or look at its address and key; until then chats of its models wait or fail.',
        );
      } finally {
        registry.close();
      }
    }),
  );
}

function wrong(check: string, said: string, remedy: string): Finding {
  return { check, state: 'wrong', said, remedy };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function gib(bytes: number): string {
  return bytes < 1024 ** 2
    ? `${Math.ceil(bytes / 1024)} KiB`
    : bytes < 1024 ** 3
      ? `${(bytes / 1024 ** 2).toFixed(1)} MiB`
      : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
