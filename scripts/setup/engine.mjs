// What the embedded model runs on: the npm package node-llama-cpp. In a checkout npm ci brings it. The published
// package leaves it out, since most who serve have a model server of their own; where it is wanted it is installed
// beside the model, without the builds for graphics cards, which are half a gigabyte.
import fs from 'node:fs';
import path from 'node:path';
import {
  CACHE,
  exists,
  lastLines,
  place,
  ROOT,
  say,
  seconds,
  SetupError,
  stagingFolder,
} from './ground.mjs';
import { npm } from './packages.mjs';

const NAME = 'node-llama-cpp';
const { devDependencies, peerDependencies, overrides } = JSON.parse(
  fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
);
const VERSION = devDependencies?.[NAME] ?? peerDependencies[NAME];
const FOLDER = path.join(CACHE, 'engine', VERSION);
const MODULE = path.join(FOLDER, 'node_modules', NAME, 'dist', 'index.js');

/** Whether whoever imports it from this package finds it. */
function isNeighbour() {
  try {
    import.meta.resolve(NAME);
    return true;
  } catch {
    return false;
  }
}

/** The one that was fetched, where it is no neighbour. */
export function engineOfOurs() {
  return !isNeighbour() && exists(MODULE) ? MODULE : undefined;
}

export function engineIsThere() {
  return isNeighbour() || exists(MODULE);
}

export async function fetchEngine() {
  const startMs = Date.now();
  say(`${NAME} ${VERSION}: installing (about 90 MB on disk) …`);
  const folder = stagingFolder('engine');
  try {
    const wanted = { private: true, dependencies: { [NAME]: VERSION }, overrides };
    fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(wanted));
    const { ok, output } = await npm(['install', '--ignore-scripts'], folder, NAME);
    if (!ok) {
      throw new SetupError(
        `the embedded model's engine, ${NAME}, could not be installed:\n    ${lastLines(output, 12)}\n` +
          '  Any one of these helps:\n' +
          '  - npm on PATH, and the network or a filled npm cache; running this again is safe\n' +
          '  - OPENAI_BASE_URL=http://… to use a model server of your own (vLLM, llama.cpp, Ollama, …)\n' +
          '  - OPENAI_API_KEY=… to use OpenAI',
      );
    }
    place(folder, FOLDER);
    say(`${NAME} ${VERSION}: done in ${seconds(startMs)}`);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
