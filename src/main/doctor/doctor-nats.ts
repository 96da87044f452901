// What `tailrace doctor` finds where chats are kept: the embedded nats-server and its folder, or the operator's NATS.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { DOCTOR_LOOK_MS } from '../../chat/limits.ts';
import { dataDirInUse } from '../../nats/embedded/data-lock.ts';
import {
  inspectNats,
  NATS_MINIMUM_TEXT,
  type NatsSight,
  type StreamSight,
} from '../../nats/inspect.ts';
import type { Config } from '../../ops/config.ts';
import { clockFinding, type Finding, textOf, wrong } from './doctor-finding.ts';
import { readFindings } from '../findings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function embeddedNats(config: Config, environment: Environment): Promise<Finding[]> {
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
      if (!(await stat(folder)).isDirectory()) {
        return wrong(check, `${folder} is no folder`, 'set TAILRACE_DATA_DIR to one.');
      }
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

export async function externalNats(
  nats: NonNullable<Config['nats']>,
  config: Config,
): Promise<Finding[]> {
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
