// `tailrace demo`, with all that it brings: NATS, the embedded model, a database, documents.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tailrace } from '../support/cli.ts';
import { needs } from '../support/needs.ts';

const NOTES = join(import.meta.dirname, '../../demo/mills.txt');

test(
  'demo --tools shows calls of a database and of documents, their results, and verified answers',
  { skip: needs('embedded model') },
  async () => {
    const { code, stdout, stderr } = await tailrace(['demo', '--tools']);
    assert.equal(code, 0, stderr + stdout);
    // What is forced and what is ours. The words of a model may be others on another processor.
    const wanted = [
      /^What is forced: /m,
      /chosen because it gets them right/,
      /^> Which mill made the most flour\?$/m,
      /^calls +database_query \{"database":"mills",/m,
      /^gets +\S/m,
      /^answers\n *\S/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
      /^> Why was Weir Mill closed\?$/m,
      /^calls +document_search \{"query":"/m,
      /^gets +\S/m,
      /^answers\n *\S/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
    ];
    let rest = stdout;
    for (const line of wanted) {
      const at = rest.search(line);
      assert.ok(at >= 0, `${line.source} is not where it should be in:\n${stdout}`);
      rest = rest.slice(at + 1);
    }
    assert.doesNotMatch(stdout, /\[\[/, 'a marker became a citation, or was none');
    for (const [, quote = ''] of stdout.matchAll(/^cites +d\d+: “(.*)”$/gm)) {
      assert.ok(readFileSync(NOTES, 'utf8').includes(quote), quote);
    }
  },
);

test('demo --tools has questions of its own, and says so', async () => {
  const { code, stderr } = await tailrace(['demo', '--tools', 'Why is the sky blue?']);
  assert.equal(code, 2);
  assert.match(stderr, /--tools has questions of its own/);
});
