// Ending a chat that no worker of this process runs: whoever takes a cancel, a control loop, a worker
// that finds every attempt used up. The fence decides between it and everyone else.
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { UsageSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Settled } from './append.ts';
import { appendSettled } from './append.ts';
import type { ChatKey } from '../chat-key.ts';
import type { CommandMeta } from '../ports/commands.ts';
import type { EventLog, LogTail } from '../ports/event-log.ts';
import { timestampFromMillis } from './event-time.ts';
import { endMark } from '../decisions/marks.ts';
import { foldLog } from './read-log.ts';
import { encodeBatch } from './record.ts';
import type { End } from '../decisions/terminal.ts';
import { endPayload } from '../decisions/terminal.ts';

export async function endChat(
  log: EventLog,
  chat: ChatKey,
  life: { readonly meta: CommandMeta; readonly priority: number },
  tail: LogTail | undefined,
  end: End,
  settleMs: number,
): Promise<Settled> {
  const fold = await foldLog(log, chat, tail);
  const mark = endMark(life, tail, end);
  const { attempt, lastSequence: sequence } = mark;
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
