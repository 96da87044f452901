// What lies in NATS is named here and nowhere else. A tenant and a stream id become one subject token
// each, and a fence is one string, made by one function: replicated servers compare the fences of
// writes in flight as strings, so two spellings would let two writers pass (law 2).
import type { ChatKey } from '../chat/chat-key.ts';
import type { Verb } from '../chat/ports/commands.ts';

export const COMMANDS = 'COMMANDS';
export const EVENTS = 'EVENTS';
export const CONTROL_CONSUMER = 'control';
export const WORK_VERBS = ['start', 'continue'] as const;
export const CONTROL_VERBS = ['cancel', 'delete'] as const;

export type LogKind = 's' | 'd';

/** Every byte outside [A-Za-z0-9_-] is %XX, the dot included: it would open a subject level. */
export function subjectToken(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_-]/gu, (character) => {
    let escaped = '';
    for (const byte of Buffer.from(character)) {
      escaped += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
    return escaped;
  });
}

export function fromSubjectToken(token: string): string {
  return decodeURIComponent(token);
}

/** A run names its chat for each token: the two tokens are made once for each key. */
const tokensOf = new WeakMap<ChatKey, string>();

function chatTokens(chat: ChatKey): string {
  let tokens = tokensOf.get(chat);
  if (tokens === undefined) {
    tokens = `${subjectToken(chat.tenant)}.${subjectToken(chat.streamId)}`;
    tokensOf.set(chat, tokens);
  }
  return tokens;
}

export function logSubject(chat: ChatKey, kind: LogKind): string {
  return `log.0.${chatTokens(chat)}.${kind}`;
}

/** The one fence of a chat's log. */
export function logFence(chat: ChatKey): string {
  return `log.0.${chatTokens(chat)}.>`;
}

export function liveSubject(chat: ChatKey): string {
  return `live.0.${chatTokens(chat)}.*`;
}

export function commandSubject(chat: ChatKey, verb: Verb, priority: number): string {
  return `cmd.${chatTokens(chat)}.${verb}.${priority}`;
}

/** The one fence of a chat's commands. */
export function commandFence(chat: ChatKey): string {
  return `cmd.${chatTokens(chat)}.>`;
}

export function startFilter(chat: ChatKey): string {
  return `cmd.${chatTokens(chat)}.start.*`;
}

export function bellSubject(chat: ChatKey, verb: Verb, priority: number): string {
  return `bell.${commandSubject(chat, verb, priority)}`;
}

export function workConsumer(priority: number): string {
  return `work-${priority}`;
}

export function ownerSubject(owner: string): string {
  return `owner.${owner}`;
}

export interface CommandAddress {
  readonly chat: ChatKey;
  readonly verb: Verb;
  readonly priority: number;
}

/** Reads `cmd.<tenant>.<chat>.<verb>.<priority>`. */
export function parseCommandSubject(subject: string): CommandAddress {
  const [, tenant, streamId, verb, priority] = subject.split('.');
  if (tenant === undefined || streamId === undefined || !isVerb(verb)) {
    throw new Error(`"${subject}" is not the subject of a command.`);
  }
  return {
    chat: { tenant: fromSubjectToken(tenant), streamId: fromSubjectToken(streamId) },
    verb,
    priority: Number(priority),
  };
}

/** Reads `log.0.<tenant>.<chat>.<kind>`. */
export function parseLogSubject(subject: string): ChatKey {
  const [, , tenant, streamId] = subject.split('.');
  if (tenant === undefined || streamId === undefined) {
    throw new Error(`"${subject}" is not the subject of a record.`);
  }
  return { tenant: fromSubjectToken(tenant), streamId: fromSubjectToken(streamId) };
}

function isVerb(text: string | undefined): text is Verb {
  return text === 'start' || text === 'continue' || text === 'cancel' || text === 'delete';
}
