// Observing as who has no library of ours does it: attach behind the last event, take what comes, and attach again.
import type { ObserveChatStreamResponse } from '../../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { StopReasonSchema } from '../../../../gen/tailrace/v1/chat_stream_pb.ts';
import { AnswerFold } from '../../../../src/chat/fold/answer.ts';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ObserveCommand, ObservedEnd } from '../../driver.ts';
import { type Sights, statusName } from './local-driver.ts';

/** One call of ObserveChatStream. */
export type Attach = (
  afterSequence: number,
  signal: AbortSignal,
) => AsyncIterable<ObserveChatStreamResponse>;

const SILENCE_MS = 45_000;
const BACKOFF_MS = 200;
const ENDS = ['completed', 'failed', 'cancelled', 'error'];
const PASSING: readonly Code[] = [Code.Unavailable, Code.Internal, Code.Canceled, Code.Aborted];

export async function observeByHand(
  command: ObserveCommand,
  sights: Sights,
  attach: Attach,
): Promise<Omit<ObservedEnd, 'attachments'>> {
  const { afterSequence = 0, silenceMs = SILENCE_MS } = command;
  const fold = new AnswerFold();
  let cursor = afterSequence;
  const summary = (): Omit<ObservedEnd, 'attachments'> => {
    const { ending } = fold;
    const texts = fold.output().map(({ block }) => (block.case === 'text' ? block.value : ''));
    return {
      text: texts.join(''),
      cursor,
      ...(ending === undefined
        ? {}
        : {
            status: statusName(ending.status),
            stopReason: StopReasonSchema.value[ending.stopReason]?.name ?? '',
          }),
    };
  };
  for (;;) {
    const own = new AbortController();
    const signal = AbortSignal.any([own.signal, sights.signal]);
    let silence: NodeJS.Timeout | undefined;
    const listen = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => own.abort(), silenceMs);
    };
    try {
      listen();
      let over = false;
      for await (const { frame } of attach(cursor, signal)) {
        clearTimeout(silence);
        switch (frame.case) {
          case 'attached':
            over = frame.value.status >= 3 && frame.value.latestSequence === cursor;
            sights.attached(frame.value);
            break;
          case 'heartbeat':
            sights.heartbeat(frame.value);
            break;
          case 'batch':
            for (const event of frame.value.events) {
              cursor = event.sequence;
              // From a cursor on there are events of blocks that the fold has not seen begin.
              if (afterSequence === 0 || ENDS.includes(event.payload.case ?? '')) fold.apply(event);
              const { sequence, attempt } = event;
              await sights.event({ sequence, attempt, case: event.payload.case ?? '' });
            }
            break;
          case undefined:
            throw new Error('a frame without content');
        }
        if (fold.ending !== undefined) return summary();
        listen();
      }
      if (over) return summary();
    } catch (thrown) {
      if (sights.signal.aborted) throw thrown;
      const passes = own.signal.aborted || PASSING.includes(ConnectError.from(thrown).code);
      if (!passes) throw thrown;
    } finally {
      clearTimeout(silence);
      own.abort();
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * BACKOFF_MS));
  }
}
