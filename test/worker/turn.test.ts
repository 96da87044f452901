// What a run begins from is its chat's start, whichever command drives it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalRequest } from '../../src/chat/request/canonical.ts';
import type { Command } from '../../src/chat/ports/commands.ts';
import { continueCommand } from '../../src/chat/decisions/next-command.ts';
import { openChat } from '../../src/worker/turn.ts';
import { chatKey, initiateRequest, NO_KEYS } from '../support/chats/chat-fixtures.ts';
import { testMeta } from '../support/chats/test-meta.ts';

test('the day that a default prompt tells is the chat’s own, also after a wait for tools', async () => {
  const { bytes, hash } = canonicalRequest(initiateRequest());
  const start: Command = {
    chat: chatKey('c'),
    verb: 'start',
    priority: 5,
    sequence: 1,
    meta: testMeta({
      createdAtMs: Date.UTC(2026, 0, 1),
      expiresAtMs: Date.UTC(2027, 0, 1),
      requestHash: hash,
    }),
    data: bytes,
  };
  const later: Command = { ...continueCommand(start, 7), sequence: 2 };
  assert.notEqual(later.meta.createdAtMs, start.meta.createdAtMs);
  const deps = { queue: { startOf: async () => Promise.resolve(start) }, opener: NO_KEYS };
  for (const command of [start, later]) {
    const opened = await openChat(deps, command);
    assert.equal(opened?.createdAtMs, start.meta.createdAtMs);
  }
});
