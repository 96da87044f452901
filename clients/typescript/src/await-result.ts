// Waiting for a chat's result, by observing it or by long polls. Both end at the same points: the chat's end, or
// a wait for the caller's tools.
import type { Duration } from '@bufbuild/protobuf/wkt';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { connectionLost } from './errors.ts';
import type { ChatStream } from './gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatUpdate } from './observe.ts';
import type { ChatSnapshot } from './snapshot.ts';
import { isOver } from './snapshot.ts';

/** The server's longest. */
const MAX_POLL_MS = 60_000;

export async function untilResult(updates: AsyncIterable<ChatUpdate>): Promise<ChatSnapshot> {
  let result: ChatSnapshot | undefined;
  for await (const { snapshot } of updates) {
    if (snapshot.ended) result = snapshot;
    // While a replay is under way the results may be among what is still to come.
    if (snapshot.pendingToolUses.length > 0 && snapshot.sequence >= snapshot.latestSequence) {
      return snapshot;
    }
  }
  if (result !== undefined) return result;
  throw connectionLost('The observation ended before the chat did.');
}

export async function untilWaited(
  pollMs: number,
  poll: (timeout: Duration, answered: boolean) => Promise<ChatStream>,
): Promise<ChatStream> {
  // 0 is no timeout: then it is the server's longest.
  const timeout = durationFromMs(Math.min(pollMs === 0 ? MAX_POLL_MS : pollMs, MAX_POLL_MS));
  for (let answered = false; ; answered = true) {
    const chat = await poll(timeout, answered);
    if (isOver(chat.status) || chat.pendingToolUses.length > 0) return chat;
  }
}
