// `npm run clients:gen`: the generated code of the clients in Go and Python, and the contract for Java's build, which
// makes its code itself. All of it is committed, so that a client can be used without any of these tools.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CACHE, program, ROOT } from '../checks/program.ts';
import { javaProto } from './java-protos.ts';

const BUF = join(ROOT, 'node_modules/.bin/buf');
const JAVA = 'clients/java/src/main/proto/tailrace/v1';
/** By buf, each from the template of its client. */
const BY_BUF = ['clients/go', 'clients/python'];
const FOLDERS = ['clients/go/tailrace/v1', 'clients/python/src/tailrace/v1', JAVA];
/** Written by hand among what is generated. */
const KEPT = ['__init__.py'];

/** Writes below `root` as it would lie in the project; what went wrong. */
async function generateInto(root: string): Promise<string | undefined> {
  for (const client of BY_BUF) {
    const template = `${client}/buf.gen.yaml`;
    const { ok, output } = await program(BUF, ['generate', '--template', template, '-o', root]);
    if (!ok) return output;
  }
  const contract = join(ROOT, 'proto/tailrace/v1');
  mkdirSync(join(root, JAVA), { recursive: true });
  for (const name of readdirSync(contract)) {
    const made = javaProto(name, readFileSync(join(contract, name), 'utf8'));
    writeFileSync(join(root, JAVA, name), made);
  }
  return undefined;
}

async function generatedAside<T>(
  then: (made: string) => T,
): Promise<{ readonly problem: string } | { readonly answer: T }> {
  const made = join(CACHE, `clients-gen-${process.pid}`);
  try {
    const problem = await generateInto(made);
    return problem === undefined ? { answer: then(made) } : { problem };
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function generatedFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const ours = (name: string): boolean => !KEPT.includes(name) && !name.startsWith('__pycache__');
  return readdirSync(folder).filter(ours).toSorted();
}

export async function writeClients(): Promise<string | undefined> {
  const outcome = await generatedAside((made) => {
    for (const folder of FOLDERS) {
      for (const name of generatedFiles(join(ROOT, folder))) rmSync(join(ROOT, folder, name));
      cpSync(join(made, folder), join(ROOT, folder), { recursive: true });
    }
  });
  return 'problem' in outcome ? outcome.problem : undefined;
}

export async function staleClients(): Promise<string | undefined> {
  const outcome = await generatedAside((made) =>
    FOLDERS.flatMap((folder) => {
      const wanted = generatedFiles(join(made, folder));
      const found = generatedFiles(join(ROOT, folder));
      const same = (name: string): boolean =>
        readFileSync(join(made, folder, name)).equals(readFileSync(join(ROOT, folder, name)));
      return [
        ...wanted
          .filter((name) => !found.includes(name))
          .map((name) => `${folder}/${name} is missing`),
        ...found
          .filter((name) => !wanted.includes(name))
          .map((name) => `${folder}/${name} is left over`),
        ...wanted
          .filter((name) => found.includes(name) && !same(name))
          .map((name) => `${folder}/${name} is not what proto/ makes`),
      ];
    }),
  );
  if ('problem' in outcome) return outcome.problem;
  const stale = outcome.answer;
  return stale.length === 0
    ? undefined
    : `${stale.join('\n')}\nRun npm run clients:gen and commit it.`;
}
