// The operator's default prompt in a file of its own: errors name the file, the line and what would be right.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promptInFile, specInFiles } from '../../src/main/models.ts';
import { ConfigError } from '../../src/ops/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'tailrace-prompt-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const MODELS = 'servers: [{ name: s, base_url: "http://127.0.0.1:1/v1", discover: true }]\n';

function fault(message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ConfigError && message.test(error.message);
}

test('it is used unless the request says no, with a file of models and without', async () => {
  const defaultPromptFile = written('prompt.txt', 'On {date}.');
  assert.equal(await promptInFile({ defaultPromptFile: undefined }), undefined);
  assert.equal((await promptInFile({ defaultPromptFile }))?.used, true);
  const modelsFile = written('models.yaml', MODELS);
  const spec = await specInFiles({ modelsFile, defaultPromptFile }, {});
  assert.equal(spec.defaultPrompt?.used, true);
});

test('an unknown variable, a file that is not there, and two prompts are errors of the start', async () => {
  const wrong = written('wrong.txt', 'On {date}\nyou are {who}');
  await assert.rejects(
    promptInFile({ defaultPromptFile: wrong }),
    fault(/wrong\.txt:2: has no variable \{who\}; there are \{date\}/),
  );
  await assert.rejects(
    promptInFile({ defaultPromptFile: join(folder, 'none') }),
    fault(/^TAILRACE_DEFAULT_PROMPT_FILE is ".*none", and it cannot be read: ENOENT/),
  );
  const modelsFile = written('both.yaml', `${MODELS}default_prompt: Be brief.\n`);
  const defaultPromptFile = written('other.txt', 'Be kind.');
  await assert.rejects(
    specInFiles({ modelsFile, defaultPromptFile }, {}),
    fault(/has a default_prompt: set the one or the other/),
  );
});
