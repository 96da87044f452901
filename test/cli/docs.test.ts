// docs/CLI.md is held to what the commands say of themselves, and so is their help.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { EXIT_MEANINGS } from '../../src/cli/outcome/exit-codes.ts';
import { createProgram } from '../../src/cli/program.ts';

const DOCS = readFileSync(join(import.meta.dirname, '../../docs/CLI.md'), 'utf8');

interface Named {
  readonly name: string;
  readonly command: Command;
}

/** Those that do something, by what is typed after `tailrace`. */
async function commands(): Promise<readonly Named[]> {
  const below = (of: Command, path: readonly string[]): readonly Named[] => {
    const visible = of.createHelp().visibleCommands(of);
    return visible.flatMap((command) => {
      const names = [...path, command.name()];
      const inner = below(command, names);
      return inner.length > 0 ? inner : [{ name: names.join(' '), command }];
    });
  };
  return below(await createProgram([]), []).filter(({ name }) => name !== 'help');
}

function rows(): readonly (readonly [string, string])[] {
  return [...DOCS.matchAll(/^\| `?([^`|]+?)`? \| (.+) \|$/gm)].map(
    ([, first = '', second = '']) => [first, second] as const,
  );
}

test('docs/CLI.md has each command with its summary, and no other', async () => {
  const table = new Map(rows());
  const all = await commands();
  assert.ok(all.length >= 18);
  for (const { name, command } of all) assert.equal(table.get(name), command.summary(), name);
  const known = new Set(all.map(({ name }) => name));
  const named = [...table.keys()].filter((name) => /^[a-z ]+$/.test(name));
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    ['command', 'code'],
    'but for the heads of the tables',
  );
});

test('docs/CLI.md has each exit code with its meaning', () => {
  const table = new Map(rows());
  for (const [code, meaning] of EXIT_MEANINGS) assert.equal(table.get(String(code)), meaning);
});

test('every command has examples in its help, each with flags that it knows', async () => {
  for (const { name, command } of await commands()) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    const [, examples = ''] = help.split('\nExamples:\n');
    const lines = examples.split('\n').filter((line) => line.includes(`tailrace ${name}`));
    assert.ok(lines.length > 0, `${name} has an example`);
    for (const line of lines) {
      const typed = line.slice(line.indexOf(`tailrace ${name}`)).split(/ {3}#| \| /)[0] ?? '';
      for (const [flag] of typed.matchAll(/(?<= )--?[a-z][a-z-]*/g)) {
        const there = command.options.some(({ long, short }) => flag === long || flag === short);
        assert.ok(there, `${flag} of: ${typed}`);
      }
    }
  }
});

test('every option of every command says what it is for', async () => {
  for (const { name, command } of await commands()) {
    for (const { flags, description } of command.options) {
      assert.notEqual(description, '', `${flags} of ${name}`);
    }
  }
});
