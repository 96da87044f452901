#!/usr/bin/env node
// Sets up what Tailrace needs and is not in the repository: npm packages, a nats-server, a small model, the built page.
// Plain JavaScript without dependencies, since it runs before there are any, on whatever Node the machine has (20+).
// Safe to run again, to interrupt, and to run twice at once: every step is made aside and renamed into place.
//
//   node scripts/setup.mjs               npm packages and nats-server
//   node scripts/setup.mjs --model       and the embedded model, unless OPENAI_API_KEY or OPENAI_BASE_URL is set
//   node scripts/setup.mjs --for-tests   and the embedded model in any case; without it the tests that need it skip
//                                        (with TAILRACE_TEST_ALL=1 they may not, and this fails; then servers of
//                                        databases are installed for the tests as well, by apt-get, not in CI)
//   --quiet                              says nothing unless there is something to do
//   --no-packages, --no-nats             leaves those out: so a start asks for what it lacks (src/main/parts.ts)
//
// What it found goes to .cache/setup.json, which src/main and the tests read:
//   { "natsServer": string | null,   the program; null only if TAILRACE_NATS_URL names a server elsewhere
//     "model": string | null,        the GGUF file; null if it was not asked for or could not be had
//     "engine": string | null,       the module node-llama-cpp; null if it is a neighbour of the package
//     "page": string | null }        the folder with the page at `/`; null if it could not be made. A published package
//                                    has it in dist/page
// Paths inside the project are relative to its root, others are absolute.
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { CACHE, exists, fromRoot, say, SetupError } from './setup/ground.mjs';
import { databaseServersAreThere, installDatabaseServers } from './setup/database-servers.mjs';
import { engineIsThere, engineOfOurs, fetchEngine } from './setup/engine.mjs';
import { fetchModel, MODEL_CACHED, modelIsThere } from './setup/model.mjs';
import { fetchNatsServer, findNatsServer } from './setup/nats-server.mjs';
import { oneAtATime } from './setup/one-at-a-time.mjs';
import { installPackages, packagesAreThere } from './setup/packages.mjs';
import { makePage, PAGE_CACHED, pageIsThere } from './setup/page.mjs';

const SETUP_FILE = path.join(CACHE, 'setup.json');

const flags = new Set(process.argv.slice(2));
const forTests = flags.has('--for-tests');

function wantsModel() {
  if (forTests) return true;
  return flags.has('--model') && !process.env.OPENAI_API_KEY && !process.env.OPENAI_BASE_URL;
}

function wantsDatabaseServers() {
  return forTests && process.env.TAILRACE_TEST_ALL === '1' && !process.env.CI;
}

function wantsNatsServer() {
  return forTests || (!flags.has('--no-nats') && !process.env.TAILRACE_NATS_URL);
}

function packagesMissing() {
  return !flags.has('--no-packages') && !packagesAreThere();
}

/** With the packages: it is made by one of them. */
function pageMissing() {
  return !flags.has('--no-packages') && !pageIsThere();
}

function writeFindings(natsServer) {
  const findings = {
    natsServer: natsServer === undefined ? null : fromRoot(natsServer),
    model: modelIsThere() ? fromRoot(MODEL_CACHED) : null,
    engine: engineOfOurs() ?? null,
    page: exists(PAGE_CACHED) ? fromRoot(PAGE_CACHED) : null,
  };
  const text = `${JSON.stringify(findings, null, 2)}\n`;
  if (exists(SETUP_FILE) && fs.readFileSync(SETUP_FILE, 'utf8') === text) return;
  const aside = `${SETUP_FILE}.${process.pid}`;
  fs.mkdirSync(CACHE, { recursive: true });
  fs.writeFileSync(aside, text);
  fs.renameSync(aside, SETUP_FILE);
}

/** True when nothing is left to do; then what was found is written down. */
function ready(reasons) {
  if (packagesMissing() || pageMissing()) return false;
  const natsServer = wantsNatsServer() ? findNatsServer(reasons) : undefined;
  if (wantsNatsServer() && natsServer === undefined) return false;
  if (wantsModel() && !(modelIsThere() && engineIsThere())) return false;
  if (wantsDatabaseServers() && !databaseServersAreThere()) return false;
  writeFindings(natsServer);
  return true;
}

async function fetchAll() {
  // What a killed set-up left half done; nobody else is at work here.
  fs.rmSync(path.join(CACHE, 'staging'), { recursive: true, force: true });
  if (packagesMissing()) await installPackages();
  if (pageMissing()) await makePageIfItCanBe();
  let natsServer;
  if (wantsNatsServer()) {
    const reasons = [];
    natsServer = findNatsServer(reasons) ?? (await fetchNatsServer(reasons));
  }
  // Written before the model too: a failing download of 93 MB takes nothing else with it.
  writeFindings(natsServer);
  if (wantsDatabaseServers() && !databaseServersAreThere()) await installDatabaseServers();
  if (!wantsModel()) return;
  try {
    if (!modelIsThere()) await fetchModel();
    if (!engineIsThere()) await fetchEngine();
    writeFindings(natsServer);
  } catch (error) {
    if (!(error instanceof SetupError) || !forTests || process.env.TAILRACE_TEST_ALL === '1')
      throw error;
    say(`WARNING: ${error.message}`);
    say('WARNING: going on without it: the tests that need the embedded model will SKIP');
  }
}

/** Chats do not need it. */
async function makePageIfItCanBe() {
  try {
    await makePage();
  } catch (error) {
    if (!(error instanceof SetupError) || forTests) throw error;
    say(`WARNING: ${error.message}`);
    say('WARNING: going on without it: browsers get the text at / that others get');
  }
}

async function main() {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < 20) {
    throw new SetupError(
      `this is Node ${process.versions.node}; at least Node 20 is needed to set Tailrace up.\n` +
        '  It brings the newer Node that it runs on itself.',
    );
  }
  if (ready([])) {
    if (!flags.has('--quiet')) console.log('setup: all there');
    return;
  }
  await oneAtATime(fetchAll);
  say('ready');
}

try {
  await main();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}
