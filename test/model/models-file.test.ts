// The operator's file of models: what is right is read, what is wrong is named with its line and path.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { usesVariable } from '../../src/chat/prompt/prompt-template.ts';
import { readModelsFile } from '../../src/model/settings/models-file.ts';
import { OperatorFileError } from '../../src/operator/operator-file.ts';

const ENV = { GPU_KEY: 'secret-of-the-gpu', GATE_KEY: 'secret-of-the-gate' };
const GOOD = `
servers:
  - name: gpu
    base_url: http://127.0.0.1:8000/v1
    api_key_env: GPU_KEY
    headers: { x-gate: gpu, x-gate-key: { env: GATE_KEY } }
    dialect: vllm
  - { name: openai, base_url: https://api.openai.com/v1, discover: true }
models:
  - name: qwen
    aliases: [fast, q]
    server: gpu
    upstream_model: Qwen/Qwen3-8B
    can: { tools: true, images: false }
    context_tokens: 32768
    defaults: { temperature: 0.7, stop: ["END"] }
    prices: { currency: USD, input: 0.1, output: 0.4 }
    fallbacks: [small]
  - name: small
    server: gpu
default_model: small
`;

test('servers, models, aliases, defaults, prices and fallbacks are read; the key by its variable', () => {
  const { servers, models, defaultModel } = readModelsFile('models.yaml', GOOD, ENV);
  assert.deepEqual(servers[0], {
    name: 'gpu',
    baseUrl: 'http://127.0.0.1:8000/v1',
    apiKey: 'secret-of-the-gpu',
    headers: { 'x-gate': 'gpu', 'x-gate-key': 'secret-of-the-gate' },
    dialect: 'vllm',
    discover: false,
    parallelCalls: undefined,
  });
  assert.equal(servers[1]?.dialect, undefined);
  assert.equal(models[0]?.upstreamModel, 'Qwen/Qwen3-8B');
  assert.deepEqual(models[0].aliases, ['fast', 'q']);
  assert.deepEqual(models[0].defaults, { temperature: 0.7, stop: ['END'] });
  assert.equal(models[0].can.images, false);
  assert.equal(models[0].can.reasoning, undefined);
  assert.equal(models[1]?.upstreamModel, 'small');
  assert.equal(defaultModel, 'small');
});

const PROMPTED = `${GOOD}default_prompt: |
  Today is {date}.
  You are {model}. {guidelines}
use_default_prompt: false
guidelines:
  acme: Be kind.
`;

test('the default prompt, its setting and the tenants’ guidelines are read; a tokenizer too', () => {
  const text = PROMPTED.replace('context_tokens:', 'tokenizer: cl100k_base\n    context_tokens:');
  const { defaultPrompt, models } = readModelsFile('models.yaml', text, ENV);
  assert.ok(defaultPrompt !== undefined);
  assert.equal(defaultPrompt.used, false);
  assert.equal(defaultPrompt.guidelines.get('acme'), 'Be kind.');
  assert.equal(usesVariable(defaultPrompt.template, 'model'), true);
  assert.equal(models[0]?.tokenizer, 'cl100k_base');
  const used = readModelsFile('m', PROMPTED.replace('use_default_prompt: false\n', ''), ENV);
  assert.equal(used.defaultPrompt?.used, true, 'who sets one wants it used');
  assert.equal(readModelsFile('m', GOOD, ENV).defaultPrompt, undefined);
});

test('how a model marks its reasoning is read in each form; what is not said is left to the dialect', () => {
  const tagsOf = (setting: string) =>
    readModelsFile('models.yaml', GOOD.replace('aliases: [fast, q]', setting), ENV).models[0]
      ?.thinkTags;
  const think = { open: '<think>', close: '</think>' };
  assert.equal(tagsOf('aliases: []'), undefined);
  assert.equal(tagsOf('thinking_tags: false'), false);
  assert.deepEqual(tagsOf('thinking_tags: true'), { ...think, opened: false });
  assert.deepEqual(tagsOf('thinking_tags: opened'), { ...think, opened: true });
  const other = { open: '[THINK]', close: '[/THINK]' };
  assert.deepEqual(tagsOf(`thinking_tags: ${JSON.stringify(other)}`), { ...other, opened: false });
});

test('a bound on calls at once is read for servers and for models', () => {
  const text = GOOD.replace('dialect: vllm', 'parallel_calls: 16').replace(
    'context_tokens: 32768',
    'parallel_calls: 4',
  );
  const { servers, models } = readModelsFile('models.yaml', text, ENV);
  assert.deepEqual(
    [...servers, ...models].map(({ parallelCalls }) => parallelCalls),
    [16, undefined, 4, undefined],
  );
});

test('JSON is read too', () => {
  const text = JSON.stringify({
    servers: [{ name: 's', base_url: 'http://127.0.0.1:1/v1', discover: true }],
  });
  assert.equal(readModelsFile('models.json', text, {}).servers[0]?.discover, true);
});

const WRONG: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  [
    'unknown tags',
    (t) => t.replace('aliases: [fast, q]', 'thinking_tags: yes please'),
    /:11: models\[0\]\.thinking_tags must be true, false, "opened", or \{ open, close, opened \}/,
  ],
  [
    'a tag with white space',
    (t) => t.replace('aliases: [fast, q]', 'thinking_tags: { open: "a b", close: c }'),
    /:11: models\[0\]\.thinking_tags/,
  ],
  ['not YAML', (t) => t.replace('dialect: vllm', '}'), /^models\.yaml:\d+:\d+: is no YAML: .+$/],
  ['what breaks in several places', () => '{"servers":[}', /^models\.yaml:1:13: is no YAML: .+$/],
  ['a key that is there twice', () => 'a: 1\na: 2', /^models\.yaml:2:1: is no YAML: .+$/],
  [
    'a second document',
    () => 'a: 1\n---\nb: 2\n',
    /^models\.yaml:2:1: is no YAML: the file has more than one document$/,
  ],
  [
    'an alias of nothing',
    () => 'a: 1\nb: *x\n',
    /^models\.yaml:2:4: is no YAML: nothing before it has the anchor of this alias$/,
  ],
  [
    'a bomb of aliases',
    () => `a: &a [x,x,x,x]\nb: &b [${'*a,'.repeat(20)}]\nc: [${'*b,'.repeat(20)}]\n`,
    /^models\.yaml:1: is no YAML: its aliases make more than 100 copies$/,
  ],
  ['no servers', () => 'models: []', /models\.yaml:1: servers is missing/],
  [
    'an unknown setting',
    (t) => t.replace('dialect: vllm', 'dialekt: vllm'),
    /:7: servers\[0\]\.dialekt is not a setting here/,
  ],
  [
    'an unknown dialect',
    (t) => t.replace('dialect: vllm', 'dialect: vlm'),
    /:7: servers\[0\]\.dialect must be one of openai, vllm/,
  ],
  [
    'a wrong address',
    (t) => t.replace('http://127.0.0.1:8000/v1', 'gpu:8000'),
    /:4: servers\[0\]\.base_url must be an http or https address/,
  ],
  [
    'a key that is not set',
    (t) => t.replace('GPU_KEY', 'NO_KEY'),
    /:5: servers\[0\]\.api_key_env is "NO_KEY", and that environment variable is not set/,
  ],
  [
    'a header that is not to be set',
    (t) => t.replace('x-gate: gpu', 'Authorization: gpu'),
    /:6: servers\[0\]\.headers.* must be the name of a header; the key stands in api_key_env/,
  ],
  [
    'a header that is no text',
    (t) => t.replace('x-gate: gpu', 'x-gate: 7'),
    /:6: servers\[0\]\.headers\.x-gate must be a text of visible ASCII characters, or/,
  ],
  [
    'a header’s variable that is not set',
    (t) => t.replace('GATE_KEY', 'NO_KEY'),
    /:6: servers\[0\]\.headers\.x-gate-key\.env is "NO_KEY", and that environment variable is not set/,
  ],
  [
    'an unknown server',
    (t) => t.replace('name: small\n    server: gpu', 'name: small\n    server: gpv'),
    /models\[1\]\.server is "gpv"; the servers are: gpu, openai/,
  ],
  [
    'a name twice',
    (t) => t.replace('[fast, q]', '[fast, small]'),
    /models\[1\]\.name is "small", which another model is called too/,
  ],
  [
    'an unknown fallback',
    (t) => t.replace('[small]', '[tiny]'),
    /:18: models\[0\]\.fallbacks\[0\] is "tiny"; the models are: qwen, small/,
  ],
  [
    'a default out of range',
    (t) => t.replace('0.7', '7'),
    /:16: models\[0\]\.defaults\.temperature must be at most 2$/m,
  ],
  [
    'an unknown variable of the prompt',
    () => PROMPTED.replace('{model}', '{name}'),
    /:24: default_prompt has no variable \{name\}; there are \{date\}, \{model\}, \{tenant\}, \{gui/,
  ],
  [
    'an unknown variable of a prompt on one line',
    (t) => `${t}default_prompt: "{name}"\n`,
    /:22: default_prompt has no variable \{name\}/,
  ],
  [
    'guidelines that no prompt uses',
    () => PROMPTED.replace('{guidelines}', ''),
    /:26: guidelines are not used: default_prompt has no \{guidelines\}/,
  ],
  [
    'a setting of a prompt that is missing',
    (t) => `${t}use_default_prompt: true\n`,
    /:22: use_default_prompt is for default_prompt, which is missing/,
  ],
  [
    'a tenant that cannot be',
    () => PROMPTED.replace('acme', 'ACME Inc'),
    /:27: guidelines\.ACME Inc must be a tenant, 1 to 63 characters/,
  ],
  [
    'an unknown tokenizer',
    (t) => t.replace('context_tokens:', 'tokenizer: llama\n    context_tokens:'),
    /:15: models\[0\]\.tokenizer must be one of o200k_base, cl100k_base/,
  ],
  [
    'a bound on calls that lets none through',
    (t) => t.replace('context_tokens: 32768', 'parallel_calls: 0'),
    /models\[0\]\.parallel_calls must be a whole number of at least 1/,
  ],
  [
    'a second currency',
    (t) =>
      t.replace(
        'name: small\n    server: gpu',
        'name: small\n    server: gpu\n    prices: { currency: EUR, input: 1, output: 1 }',
      ),
    /models\[1\]\.prices\.currency is "EUR", and another model's is "USD": the costs/,
  ],
  [
    'a wrong type',
    (t) => t.replace('context_tokens: 32768', 'context_tokens: many'),
    /models\[0\]\.context_tokens must be /,
  ],
  [
    'a missing name',
    (t) => t.replace('name: small\n    server', 'server'),
    /models\[1\]\.name is missing/,
  ],
];

for (const [what, change, expected] of WRONG) {
  test(`${what} is named with its line and path`, () => {
    assert.throws(
      () => readModelsFile('models.yaml', change(GOOD), ENV),
      (error) => {
        assert.ok(error instanceof OperatorFileError);
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}

test('all that is wrong is named at once', () => {
  const text = GOOD.replace('32768', '0').replace('USD', 'dollars');
  assert.throws(
    () => readModelsFile('models.yaml', text, ENV),
    (error) => error instanceof OperatorFileError && error.message.split('\n').length === 2,
  );
});
