// Ending a chat that no worker of this process runs: whoever takes a cancel, a control loop, a worker
// that finds every attempt used up. The fence decides between it and everyone else.
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { UsageSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { Settled } from './append.ts';
import { appendSettled } from './append.ts';
import type { ChatKey } from './chat-key.ts';
import type { CommandMeta } from './commands.ts';
import type { EventLog, LogTail, StatusMark } from './event-log.ts';
import { timestampFromMillis } from './event-time.ts';
import { foldLog } from './read-log.ts';
import { encodeBatch } from './record.ts';
import type { End } from './terminal.ts';
import { endPayload, endStatus } from './terminal.ts';

export async function endChat(
  log: EventLog,
  chat: ChatKey,
  life: { readonly meta: CommandMeta; readonly priority: number },
  tail: LogTail | undefined,
  end: End,
  settleMs: number,
): Promise<Settled> {
  const fold = await foldLog(log, chat, tail);
  const before = tail?.status.mark;
  const sequence = (tail?.lastSequence ?? 0) + 1;
  const attempt = before?.attempt ?? 0;
  const payload = endPayload(end, {
    sequence,
    sha256: fold.contentSha256(),
    usage: fold.usage ?? create(UsageSchema, {}),
  });
  const event = create(EventSchema, {
    sequence,
    attempt,
    time: timestampFromMillis(Date.now()),
    correlationId: life.meta.correlationId,
    payload,
  });
  const mark: StatusMark = {
    kind: 'end',
    status: endStatus(end),
    attempt,
    tries: before?.tries ?? 0,
    stepSequence: before?.stepSequence ?? 0,
    command: before?.command ?? 0,
    owner: before?.owner ?? '',
    startedAtMs: before?.startedAtMs ?? 0,
    firstSequence: sequence,
    lastSequence: sequence,
    // The chat's own: a control command was created later.
    createdAtMs: before?.createdAtMs ?? life.meta.createdAtMs,
    expiresAtMs: life.meta.expiresAtMs,
    correlationId: life.meta.correlationId,
    model: life.meta.model,
    priority: life.priority,
  };
  return appendSettled(
    log,
    chat,
    {
      expectedLast: tail?.last.storeSequence ?? 0,
      afterSequence: sequence - 1,
      attempt,
      owner: mark.owner,
    },
    { appendId: randomUUID(), data: encodeBatch([event]), mark },
    settleMs,
  );
}
