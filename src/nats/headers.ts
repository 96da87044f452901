// Headers of records and commands. `d` records carry the append id and the fence, nothing else: each
// header costs on every token. What a life needs stands as JSON in one header of `s` records and
// commands, readable by people and by the list without decoding an event.
import type { MsgHdrs } from '@nats-io/transport-node';
import { headers } from '@nats-io/transport-node';
import type { Command, CommandMeta } from '../chat/ports/commands.ts';
import type { StatusMark } from '../chat/ports/event-log.ts';

const APPEND_ID = 'Tailrace-Append';
const MARK = 'Tailrace-Mark';
const COMMAND = 'Tailrace-Command';
const STORE_SEQUENCE = 'Nats-Sequence';
const EXPECTED_LAST = 'Nats-Expected-Last-Subject-Sequence';
const EXPECTED_LAST_SUBJECT = 'Nats-Expected-Last-Subject-Sequence-Subject';

export interface Fence {
  readonly subject: string;
  readonly expectedLast: number;
}

export function recordHeaders(
  appendId: string,
  mark: StatusMark | undefined,
  fence: Fence,
): MsgHdrs {
  const made = fenceHeaders(fence);
  made.set(APPEND_ID, appendId);
  if (mark !== undefined) made.set(MARK, JSON.stringify(mark));
  return made;
}

export function commandHeaders(meta: CommandMeta, fence: Fence): MsgHdrs {
  const made = fenceHeaders(fence);
  made.set(COMMAND, JSON.stringify(meta));
  return made;
}

function fenceHeaders(fence: Fence): MsgHdrs {
  const made = headers();
  made.set(EXPECTED_LAST, String(fence.expectedLast));
  made.set(EXPECTED_LAST_SUBJECT, fence.subject);
  return made;
}

export function appendIdIn(from: MsgHdrs): string {
  return from.get(APPEND_ID);
}

/** Undefined on `d` records. */
export function markIn(from: MsgHdrs): StatusMark | undefined {
  const text = from.get(MARK);
  // Written by recordHeaders alone: nothing else may publish to these subjects.
  return text === '' ? undefined : (JSON.parse(text) as StatusMark);
}

export function commandMetaIn(from: MsgHdrs): CommandMeta {
  return JSON.parse(from.get(COMMAND)) as CommandMeta;
}

/** What a republished command carries: the same as the server's own bell. */
export function bellHeaders(command: Command): MsgHdrs {
  const made = headers();
  made.set(COMMAND, JSON.stringify(command.meta));
  made.set(STORE_SEQUENCE, String(command.sequence));
  return made;
}

/** On what republish and direct get deliver. */
export function storeSequenceIn(from: MsgHdrs): number {
  return Number(from.get(STORE_SEQUENCE));
}
