// Makes what the clients in other languages need, in .cache: the generators of their code, and their drivers for the
// interop suite. Each is made anew when one of its sources has changed. What a machine lacks is a reason, not an error.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CACHE, program, ROOT } from '../checks/program.ts';

const CLIENTS = join(CACHE, 'clients');
const BIN = join(CACHE, 'bin');
export const PYTHON = join(CLIENTS, 'python/bin/python');

const GENERATORS: Readonly<Record<string, string>> = {
  'protoc-gen-go': 'google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12',
  'protoc-gen-go-grpc': 'google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2',
};

const PYTHON_PACKAGES = 'test/interop/drivers/python/requirements.txt';

/** How the driver is started, or why it cannot be. */
export type Made =
  | { readonly program: string; readonly args: readonly string[] }
  | { readonly reason: string };

export interface Toolchain {
  readonly name: string;
  /** It was made here before: making it anew takes seconds, and no network. */
  readonly there: () => boolean;
  readonly make: () => Promise<Made>;
}

const PYTHON_ENV = pythonEnvironment();

export const TOOLCHAINS: readonly Toolchain[] = [
  goDriver(),
  pythonDriver('Python, sync', 'sync'),
  pythonDriver('Python, asyncio', 'asyncio'),
  javaDriver(),
];

/** For the code of Go and Python; what is missing. */
export async function makeGenerators(): Promise<string | undefined> {
  mkdirSync(BIN, { recursive: true });
  process.env['PATH'] = [BIN, process.env['PATH'] ?? ''].join(delimiter);
  for (const [name, module] of Object.entries(GENERATORS)) {
    if (existsSync(join(BIN, name))) continue;
    const { ok, output } = await program('go', ['install', module], { GOBIN: BIN, GOFLAGS: '' });
    if (!ok) return `${name} could not be had: ${lastLines(output)}`;
  }
  const python = await PYTHON_ENV.make();
  return 'reason' in python ? python.reason : undefined;
}

export function generatorsAreThere(): boolean {
  return Object.keys(GENERATORS).every((name) => existsSync(join(BIN, name))) && PYTHON_ENV.there();
}

function goDriver(): Toolchain {
  const folder = join(ROOT, 'test/interop/drivers/go');
  const driver = join(CLIENTS, 'go-driver');
  return cached(
    'Go',
    join(CLIENTS, 'go-driver.made-of'),
    ['clients/go', 'test/interop/drivers/go'],
    {
      made: { program: driver, args: [] },
      steps: [['go', ['-C', folder, 'build', '-o', driver, '.']]],
    },
  );
}

function pythonEnvironment(): Toolchain {
  const folder = join(CLIENTS, 'python');
  return cached('Python', join(CLIENTS, 'python.made-of'), [PYTHON_PACKAGES], {
    made: { program: PYTHON, args: [] },
    steps: [
      ['python3', ['-m', 'venv', '--clear', folder]],
      [
        PYTHON,
        ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', PYTHON_PACKAGES],
      ],
    ],
  });
}

function pythonDriver(name: string, form: string): Toolchain {
  const source = join(ROOT, 'clients/python/src');
  const code = `import runpy, sys; sys.path.insert(0, ${JSON.stringify(source)}); runpy.run_path(sys.argv.pop(1), run_name="__main__")`;
  const driver = join(ROOT, 'test/interop/drivers/python/driver.py');
  return {
    name,
    there: () => PYTHON_ENV.there(),
    make: async () => {
      const python = await PYTHON_ENV.make();
      return 'reason' in python ? python : { program: PYTHON, args: ['-c', code, driver, form] };
    },
  };
}

function javaDriver(): Toolchain {
  const client = join(ROOT, 'clients/java');
  const classes = join(CLIENTS, 'java-driver');
  const pathFile = join(client, 'target/classpath.txt');
  const classpath = (): string =>
    [classes, join(client, 'target/classes'), readFileSync(pathFile, 'utf8').trim()].join(
      delimiter,
    );
  const driver = join(ROOT, 'test/interop/drivers/java/Driver.java');
  const sources = ['clients/java/pom.xml', 'clients/java/src', 'test/interop/drivers/java'];
  return cached('Java', join(CLIENTS, 'java-driver.made-of'), sources, {
    made: () => ({
      program: 'java',
      args: ['-XX:TieredStopAtLevel=1', '-cp', classpath(), 'Driver'],
    }),
    steps: [
      [
        'mvn',
        [
          '-q',
          '-B',
          '-f',
          client,
          'package',
          'dependency:build-classpath',
          `-Dmdep.outputFile=${pathFile}`,
        ],
      ],
      () => ['javac', ['-d', classes, '-cp', classpath(), driver]],
    ],
  });
}

type Step = readonly [string, readonly string[]];

function cached(
  name: string,
  stamp: string,
  sources: readonly string[],
  how: {
    readonly made: Made | (() => Made);
    readonly steps: readonly (Step | (() => Step))[];
  },
): Toolchain {
  const made = (): Made => (typeof how.made === 'function' ? how.made() : how.made);
  const fresh = (): boolean => existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf(sources);
  async function make(): Promise<Made> {
    if (fresh()) return made();
    const hash = hashOf(sources);
    mkdirSync(CLIENTS, { recursive: true });
    for (const step of how.steps) {
      const [command, args] = typeof step === 'function' ? step() : step;
      const { ok, output } = await program(command, args, { GOFLAGS: '' });
      if (!ok) return { reason: `${command}: ${lastLines(output)}` };
    }
    writeFileSync(stamp, hash);
    return made();
  }
  let making: Promise<Made> | undefined;
  // Several may want it at once.
  return { name, there: () => existsSync(stamp), make: () => (making ??= make()) };
}

function hashOf(sources: readonly string[]): string {
  const hash = createHash('sha256');
  for (const source of sources) {
    const path = join(ROOT, source);
    const files = statSync(path).isFile()
      ? [path]
      : readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name))
          .toSorted();
    for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-4).join(' | ');
}
