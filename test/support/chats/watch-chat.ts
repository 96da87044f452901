// Observing as a user does, and holding what comes against the promises: `attached` first, sequences
// without gap or repeat, one terminal event and that last, a count and a hash that are true.
import assert from 'node:assert/strict';
import type { ObserveChatStreamResponse } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Attached, Heartbeat } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { toBinary } from '@bufbuild/protobuf';
import { AnswerFold } from '../../../src/chat/fold/answer.ts';
import type { ChatClient } from '../clients.ts';
import { HANGS_MS, within } from '../until.ts';

const ENDS = ['completed', 'failed', 'cancelled', 'error'];

interface Waiter {
  readonly isThere: () => boolean;
  readonly resolve: () => void;
}

/** What one observer has seen, over as many attachments as it took. */
export class Watch {
  readonly events: Event[] = [];
  /** One for each attachment. */
  readonly attached: Attached[] = [];
  readonly heartbeats: Heartbeat[] = [];
  /** How many events each batch had. */
  readonly batches: number[] = [];
  #cursor: number;
  #waiters: Waiter[] = [];

  constructor(afterSequence = 0) {
    this.#cursor = afterSequence;
  }

  get cursor(): number {
    return this.#cursor;
  }

  /** Attaches at the cursor. Resolves when the server ends the stream with OK; rejects with its error. */
  async follow(client: ChatClient, streamId: string, signal?: AbortSignal): Promise<void> {
    const request = { streamId, afterSequence: this.#cursor };
    let first = true;
    for await (const message of client.observeChatStream(request, signal ? { signal } : {})) {
      if (first) assert.equal(message.frame.case, 'attached', 'the first frame is attached');
      else assert.notEqual(message.frame.case, 'attached', 'attached comes once');
      first = false;
      this.#take(message);
    }
    assert.ok(!first, 'a stream that ends with OK has had its attached frame');
  }

  /** Resolves once an event with this sequence has come. */
  reached(sequence: number): Promise<void> {
    return this.#once(`event ${sequence}`, () => this.#cursor >= sequence);
  }

  /** Resolves once so many attached frames have come. */
  attachedTimes(count: number): Promise<void> {
    return this.#once(`attached frame ${count}`, () => this.attached.length >= count);
  }

  beaten(count: number): Promise<void> {
    return this.#once(`heartbeat ${count}`, () => this.heartbeats.length >= count);
  }

  attempted(attempt: number): Promise<void> {
    return this.#once(`attempt ${attempt}`, () => (this.events.at(-1)?.attempt ?? 0) >= attempt);
  }

  saw(payload: Event['payload']['case']): Promise<void> {
    return this.#once(`the event ${payload}`, () =>
      this.events.some((event) => event.payload.case === payload),
    );
  }

  /** The effective text, lost attempts left out. */
  text(): string {
    const fold = new AnswerFold();
    for (const event of this.events) fold.apply(event);
    return fold
      .output()
      .map(({ block }) => (block.case === 'text' ? block.value : ''))
      .join('');
  }

  /** The events' bytes: the same for every observer. */
  bytes(): string {
    return bytesOf(this.events);
  }

  cases(): string[] {
    return this.events.map((event) => event.payload.case ?? 'none');
  }

  /** What is true of whoever has seen a chat from its first event to its end. */
  end(): TerminalEvent {
    assert.equal(this.events[0]?.sequence, 1, 'it was seen from the start');
    const ends = this.events.filter((event) => ENDS.includes(event.payload.case ?? ''));
    assert.equal(ends.length, 1, 'exactly one terminal event');
    const last = this.events.at(-1);
    assert.equal(last, ends[0], 'the terminal event is the last');
    const fold = new AnswerFold();
    for (const event of this.events) fold.apply(event);
    const end = terminalOf(last);
    assert.equal(end.lastSequence, this.#cursor);
    assert.equal(end.contentSha256, fold.contentSha256(), 'the hash is true');
    return end;
  }

  #take({ frame, sentTime, storedTime }: ObserveChatStreamResponse): void {
    assert.ok(sentTime !== undefined, 'every frame says when it was sent');
    switch (frame.case) {
      case 'attached':
        this.attached.push(frame.value);
        break;
      case 'heartbeat':
        this.heartbeats.push(frame.value);
        break;
      case 'batch':
        assert.ok(storedTime !== undefined, 'every batch says when it was stored');
        this.batches.push(frame.value.events.length);
        for (const event of frame.value.events) {
          assert.equal(event.sequence, this.#cursor + 1, 'no gap and no repeat');
          this.#cursor = event.sequence;
          this.events.push(event);
        }
        break;
      case undefined:
        assert.fail('a frame without content');
    }
    this.#waiters = this.#waiters.filter(({ isThere, resolve }) => {
      if (!isThere()) return true;
      resolve();
      return false;
    });
  }

  #once(what: string, isThere: () => boolean): Promise<void> {
    if (isThere()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ isThere, resolve });
    return within(HANGS_MS, what, promise);
  }
}

export function bytesOf(events: readonly Event[]): string {
  return Buffer.concat(events.map((event) => toBinary(EventSchema, event))).toString('base64');
}

export type TerminalEvent = Extract<
  Event['payload'],
  { case: 'completed' | 'failed' | 'cancelled' | 'error' }
>['value'];

function terminalOf(event: Event | undefined): TerminalEvent {
  const payload = event?.payload;
  switch (payload?.case) {
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'error':
      return payload.value;
    default:
      return assert.fail(`${payload?.case} is not a terminal event`);
  }
}

/** Observes from the start to the end. */
export async function watchToEnd(client: ChatClient, streamId: string): Promise<Watch> {
  const watch = new Watch();
  await watch.follow(client, streamId);
  watch.end();
  return watch;
}
