// What a model is told before the conversation: the operator's prompt, the caller's text and guidelines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type System, SystemSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  fillTemplate,
  parseTemplate,
  type PromptTemplate,
} from '../../src/chat/prompt/prompt-template.ts';
import {
  type DefaultPrompt,
  systemText,
  systemViolations,
} from '../../src/chat/prompt/system-text.ts';

const FACTS = { tenant: 'acme', model: 'qwen', createdAtMs: Date.UTC(2026, 10, 23, 23, 59, 59) };

function template(text: string): PromptTemplate {
  const parsed = parseTemplate(text);
  assert.ok('template' in parsed);
  return parsed.template;
}

function prompt(text: string, more: Partial<DefaultPrompt> = {}): DefaultPrompt {
  return { template: template(text), used: true, guidelines: new Map(), ...more };
}

function system(init: MessageInitShape<typeof SystemSchema>): System {
  return create(SystemSchema, init);
}

test('variables are filled; other braces are text, and doubled ones too', () => {
  const values = { date: '2026-11-23', model: 'm', tenant: 't', guidelines: 'g' };
  for (const [text, expected] of [
    ['{date} {model} {tenant} {guidelines}', '2026-11-23 m t g'],
    ['{date}{date}', '2026-11-232026-11-23'],
    ['{"a": {"b": 1}} { date } {} {{', '{"a": {"b": 1}} { date } {} {{'],
    ['{{date}} is {date}', '{date} is 2026-11-23'],
    ['', ''],
  ] as const) {
    assert.equal(fillTemplate(template(text), values), expected);
  }
});

test('what a variable holds is not filled again', () => {
  const guidelines = new Map([['acme', 'say {model}']]);
  assert.equal(systemText(undefined, prompt('{guidelines}', { guidelines }), FACTS), 'say {model}');
});

test('an unknown variable is an error with its line and the names there are', () => {
  const parsed = parseTemplate('On {date}\nyou are {name}\nof {Tenant}');
  assert.ok('faults' in parsed);
  assert.deepEqual(
    parsed.faults.map(({ line }) => line),
    [2, 3],
  );
  assert.match(
    parsed.faults[0]?.message ?? '',
    /no variable \{name\}; there are \{date\}, \{model/,
  );
});

const P = 'Today is {date}. You are {model} of {tenant}. {guidelines}';
const SAID = 'Today is 2026-11-23. You are qwen of acme.';

const ORDER: readonly (readonly [string, System | undefined, DefaultPrompt | undefined, string])[] =
  [
    ['nothing', undefined, undefined, ''],
    ['the caller’s own alone', system({ text: 'T', guidelines: 'G' }), undefined, 'T\n\nG'],
    ['all in their order', system({ text: 'T', guidelines: 'G' }), prompt(P), `${SAID}\n\nT\n\nG`],
    ['by the operator’s setting', undefined, prompt(P), SAID],
    ['set, against the operator’s setting', system({ useDefaultPrompt: true }), off(), SAID],
    ['unset, with the operator’s setting', system({ text: 'T' }), off(), 'T'],
    ['false is really off', system({ useDefaultPrompt: false, text: 'T' }), prompt(P), 'T'],
    ['false alone sends none', system({ useDefaultPrompt: false }), prompt(P), ''],
    [
      'the tenant’s guidelines where the template has them',
      system({ text: 'T' }),
      prompt(P, {
        guidelines: new Map([
          ['acme', 'Be kind.'],
          ['other', 'Be brief.'],
        ]),
      }),
      `${SAID} Be kind.\n\nT`,
    ],
  ];

function off(): DefaultPrompt {
  return prompt(P, { used: false });
}

test('default prompt, text and guidelines come in this order, each where it is asked for', () => {
  for (const [name, given, operators, expected] of ORDER) {
    assert.equal(systemText(given, operators, FACTS), expected, name);
  }
});

test('a default prompt that the operator has not set is refused by its path', () => {
  assert.deepEqual(
    systemViolations(system({ useDefaultPrompt: true }), undefined).map(({ path }) => path),
    ['request.system.use_default_prompt'],
  );
  assert.deepEqual(systemViolations(system({ useDefaultPrompt: false }), undefined), []);
  assert.deepEqual(systemViolations(system({ useDefaultPrompt: true }), prompt('a')), []);
});
