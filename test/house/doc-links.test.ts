// Links of the pages that people read lead somewhere: to a file that is there, and to a heading in it.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = globSync(['*.md', 'docs/**/*.md', 'clients/*/*.md'], { cwd: ROOT });

/** Code is no text: neither its brackets nor its `#`. */
function withoutCode(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, (code) =>
    // What stands in a heading as code is a part of its anchor.
    code.replaceAll(/[[\]()]/g, ''),
  );
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const headings = [...withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, title = '']) =>
    title
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set(
    headings.map((anchor) => {
      const before = seen.get(anchor) ?? 0;
      seen.set(anchor, before + 1);
      return before === 0 ? anchor : `${anchor}-${before}`;
    }),
  );
}

function brokenIn(page: string): readonly string[] {
  const path = join(ROOT, page);
  const text = readFileSync(path, 'utf8');
  const targets = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .flatMap((target) => {
      const [file = '', anchor] = decodeURIComponent(target).split('#');
      const at = file === '' ? path : resolve(dirname(path), file);
      if (!existsSync(at)) return [`${page}: ${target}: there is no such file`];
      if (relative(ROOT, at).startsWith('..')) return [`${page}: ${target}: outside`];
      if (anchor === undefined) return [];
      const headings = statSync(at).isFile() ? anchorsOf(readFileSync(at, 'utf8')) : new Set();
      return headings.has(anchor) ? [] : [`${page}: ${target}: there is no such heading`];
    });
}

test('every link of the pages leads to a file that is there, and to a heading in it', () => {
  for (const page of ['README.md', 'docs/index.md', 'clients/go/README.md']) {
    assert.ok(PAGES.includes(page), page);
  }
  assert.deepEqual(PAGES.flatMap(brokenIn), []);
});

test('every page of docs/ can be reached from docs/index.md', () => {
  const reached = new Set<string>();
  const walk = (page: string): void => {
    if (reached.has(page) || !page.endsWith('.md')) return;
    reached.add(page);
    const text = withoutCode(readFileSync(join(ROOT, page), 'utf8'));
    for (const [, to = ''] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      const target = relative(ROOT, resolve(dirname(join(ROOT, page)), to));
      if (existsSync(join(ROOT, target))) walk(target);
    }
  };
  walk('docs/index.md');
  assert.deepEqual(
    PAGES.filter((page) => page.startsWith('docs/') && !reached.has(page)),
    [],
  );
});

test('the pictures of docs/CONCEPTS.md fit a terminal, one for each concept', () => {
  const sections = readFileSync(join(ROOT, 'docs/CONCEPTS.md'), 'utf8').split(/^## /m).slice(1);
  assert.equal(sections.length, 8);
  for (const section of sections) {
    const pictures = [...section.matchAll(/^```\n([\s\S]*?)^```$/gm)];
    assert.equal(pictures.length, 1, section.split('\n')[0]);
    const lines = pictures[0]?.[1]?.split('\n') ?? [];
    assert.deepEqual(
      lines.filter((line) => line.length > 120),
      [],
    );
  }
});

const SCRIPTS = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
  }
).scripts;

/** Of the project itself; the clients' own pages speak of their own packages. */
const OURS = PAGES.filter((page) => !page.startsWith('clients/'));

test('every npm script and every program that the pages name is there', () => {
  const wrong: string[] = [];
  for (const page of OURS) {
    const text = readFileSync(join(ROOT, page), 'utf8');
    for (const [, name = ''] of text.matchAll(/npm run ([a-z][a-z:-]*[a-z])/g)) {
      if (SCRIPTS[name] === undefined) wrong.push(`${page}: npm run ${name}`);
    }
    const programs = /node (?:--test )?((?:scripts|bench|bin|test)\/\S+?\.m?[jt]s)/g;
    const folders = /--only (test\/[\w/-]+)/g;
    for (const pattern of [programs, folders]) {
      for (const [, path = ''] of text.matchAll(pattern)) {
        if (!existsSync(join(ROOT, path))) wrong.push(`${page}: ${path}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('CONTRIBUTING.md has every npm script that people call', () => {
  const text = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  // What npm or another script calls, and what operators do, for whom it is `tailrace …` (docs/CLI.md).
  const byNpm = new Set(['prepack', 'setup', 'build', 'config:check', 'token']);
  const missing = Object.keys(SCRIPTS).filter(
    (name) => !byNpm.has(name) && !new RegExp(String.raw`\b${name}\b`).test(text),
  );
  assert.deepEqual(missing, []);
});
