// `tailrace demo`, with all that it brings: NATS, the embedded model, a database, documents.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tailrace } from '../support/cli.ts';
import { needs } from '../support/needs.ts';

test(
  'demo --tools shows calls, results and citations of a database and of documents, and verifies both answers',
  { skip: needs('embedded model') },
  async () => {
    const { code, stdout, stderr } = await tailrace(['demo', '--tools']);
    assert.equal(code, 0, stderr + stdout);
    const wanted = [
      /^What is forced: /m,
      /chosen because it gets them right/,
      /^> Which mill made the most flour\?$/m,
      /^calls +database_query \{"database":"mills","sql":"SELECT /m,
      /^gets +name \| flour\n +Long Mill \| 940$/m,
      /^answers\n.*Long Mill.*$/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
      /^> Why was Weir Mill closed\?$/m,
      /^calls +document_search \{"query":".*[Ww]eir Mill.*\}$/m,
      /^gets +d3: Weir Mill was closed in 1931, /m,
      /^answers\n.*power station.*$/m,
      /^cites +d3: “.+”$/m,
      /^COMPLETED, \d+ events: count of events and SHA-256 of the text verified$/m,
    ];
    let rest = stdout;
    for (const line of wanted) {
      const at = rest.search(line);
      assert.ok(at >= 0, `${line.source} is not where it should be in:\n${stdout}`);
      rest = rest.slice(at + 1);
    }
    assert.doesNotMatch(stdout, /\[\[/);
  },
);

test('demo --tools has questions of its own, and says so', async () => {
  const { code, stderr } = await tailrace(['demo', '--tools', 'Why is the sky blue?']);
  assert.equal(code, 2);
  assert.match(stderr, /--tools has questions of its own/);
});
