// The turns of a conversation: what was said goes along with the next turn, and each is a durable chat that is
// watched to its end. Ctrl-C cancels the one that runs; a second one leaves it.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { newStreamId } from '../../../clients/typescript/src/stream-id.ts';
import type { ChatSnapshot } from '../../../clients/typescript/src/snapshot.ts';
import { ChatStreamService } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Connection } from '../connection/connection.ts';
import { EXIT, type ExitCode } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { tell, toldOf } from '../outcome/failure.ts';
import { watch } from '../connection/follow.ts';
import type { Interrupts } from '../terminal/prompt.ts';
import { requestFrom } from '../request/request-flags.ts';
import { harmless, note } from '../terminal/terminal.ts';

export interface ConversationOptions {
  readonly json?: true;
  readonly interrupts: Interrupts;
}

export interface Conversation {
  /** Rejects where it was not even begun; then nothing was said. */
  readonly say: (message: JsonObject) => Promise<ExitCode>;
  readonly forget: () => void;
  /** A field of the request from now on. */
  readonly set: (field: string, value: JsonValue) => void;
  readonly lastId: () => string | undefined;
}

export function openConversation(
  connection: Connection,
  given: JsonObject,
  options: ConversationOptions,
): Conversation {
  const fields = { ...given };
  let said: JsonObject[] = [];
  let lastId: string | undefined;
  return {
    say: async (message) => {
      const streamId = newStreamId();
      const request = requestFrom({ messages: [...said] }, fields, message);
      await connection.postJson(ChatStreamService.method.initiateChatStream, {
        stream_id: streamId,
        request,
      });
      lastId = streamId;
      const end = await untilEnd(connection, streamId, options);
      if (end === undefined) return EXIT.interrupted;
      const exit = exitOfStatus(end.status);
      // Without an answer the next turn is asked as if this one had not been.
      if (end.text !== '') {
        said.push(message, { role: 'ROLE_ASSISTANT', content: [{ text: end.text }] });
      }
      return exit;
    },
    forget: () => void (said = []),
    set: (field, value) => void (fields[field] = value),
    lastId: () => lastId,
  };
}

/** Undefined: left before the end. */
async function untilEnd(
  connection: Connection,
  streamId: string,
  options: ConversationOptions,
): Promise<ChatSnapshot | undefined> {
  const leaving = new AbortController();
  let cancelling = false;
  const onInterrupt = (): void => {
    if (cancelling) return leaving.abort();
    cancelling = true;
    note('\nCancelling; Ctrl-C again leaves.');
    const reason = 'Ctrl-C in tailrace chat';
    connection.watching
      .cancel(streamId, { reason, signal: leaving.signal })
      .catch((error: unknown) => {
        if (leaving.signal.aborted) return;
        // It runs on, and is shown; the next Ctrl-C leaves.
        tell(toldOf(error, connection.address), 'tailrace chat', options.json === true);
      });
  };
  const deaf = options.interrupts(onInterrupt);
  try {
    return await watch(
      connection,
      streamId,
      { ...options, signal: leaving.signal },
      () => undefined,
    );
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
    note(harmless(`\nLeft. How it went on: tailrace get ${streamId} --full`));
    return undefined;
  } finally {
    deaf();
  }
}
