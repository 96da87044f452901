// docs/QUICKSTART.md: every command as it stands, in the terminals that it names, and what they show.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { type Running, startProgramOnTerminal } from '../support/processes/cli.ts';
import { freePort } from '../support/processes/free-port.ts';
import { natsServerProgram, temporaryFolder } from '../support/processes/nats.ts';
import { needs } from '../support/needs.ts';
import { startPlainWords } from '../support/plain-words.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/QUICKSTART.md'), 'utf8');
/** The words before a block name its terminal. */
const BLOCK = /terminal (\d)[^`]*:\n\n```(sh|text)\n([\s\S]*?)^```$/gm;

/** The first time it stops in the middle, where its server is killed, however long that takes. */
const STORY = scripted({
  text: ['Once upon a time', ...Array.from({ length: 149 }, () => ' there was a mill')],
  interval_ms: 20,
  fault: 'silence',
  times: 1,
});

/** In lines of a terminal; … is anything. */
function shown(printed: string): RegExp {
  const parts = printed
    .trimEnd()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(parts.join(String.raw`[\s\S]*?`).replaceAll('\n', String.raw`\s*\n`));
}

/** A checkout of one's own: its data are not those of whoever runs the tests. */
function checkoutIn(folder: string): void {
  for (const name of readdirSync(ROOT)) {
    if (name !== '.git' && name !== '.tailrace') symlinkSync(join(ROOT, name), join(folder, name));
  }
}

async function openTerminal(cwd: string, env: Readonly<Record<string, string>>): Promise<Running> {
  const terminal = startProgramOnTerminal('bash', ['--norc', '--noprofile', '--noediting'], {
    cwd,
    env,
  });
  // What is typed is not to be taken for what is shown.
  terminal.type("stty -echo; PS1=''; echo terminal $((40 + 2))\n");
  await terminal.seen('terminal 42');
  return terminal;
}

test(
  'docs/QUICKSTART.md: a chat survives kill -9 of its server, and who watches it sees all of it',
  { skip: needs('python3') },
  async () => {
    const steps = [...PAGE.matchAll(BLOCK)].map(([, terminal = '', kind, text = '']) => {
      return { terminal, kind, text };
    });
    assert.equal(steps.length, PAGE.match(/^```\w/gm)?.length, 'each block names its terminal');
    assert.ok(steps.length >= 12);

    using folder = temporaryFolder();
    checkoutIn(folder.path);
    await using model: ModelServer = await startModelServer();
    await using words = await startPlainWords(model.url, {
      'Tell a long story about a mill.': STORY,
    });
    const host = `127.0.0.1:${await freePort()}`;
    const env = {
      NO_COLOR: '1',
      // npm's spinner would stand in what is shown.
      npm_config_progress: 'false',
      OPENAI_BASE_URL: words.url,
      TAILRACE_LISTEN: host,
      TAILRACE_ADDRESS: `http://${host}`,
      TAILRACE_NATS_SERVER: natsServerProgram(),
    };
    const terminals = new Map<string, Running>();
    try {
      for (const { terminal: name, kind, text } of steps) {
        const terminal = terminals.get(name) ?? (await openTerminal(folder.path, env));
        terminals.set(name, terminal);
        const local = text.replaceAll('127.0.0.1:8080', host);
        if (kind === 'sh') terminal.type(local);
        else await terminal.seen(shown(local));
      }
    } finally {
      const serving = terminals.get('1');
      serving?.type('\x03');
      // The shell says so when what it runs has ended, and with it the nats-server.
      serving?.type('echo stopped $((40 + 2))\n');
      await serving?.seen('stopped 42');
      for (const terminal of terminals.values()) {
        terminal.type('\nexit\n');
        await terminal.ended;
      }
    }
  },
);
