// Drivers of clients in JavaScript, in this process: the same commands and lines as those of other languages.
import type { JsonObject } from '@bufbuild/protobuf';
import { ChatStreamStatusSchema } from '../../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatStreamStatus } from '../../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamService } from '../../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Attached, Heartbeat } from '../../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type {
  CallCommand,
  CallError,
  ObserveCommand,
  ObservedEnd,
  Rpc,
  SeenEvent,
  StartDriver,
} from '../../driver.ts';

export interface Sights {
  readonly signal: AbortSignal;
  readonly attached: (frame: Pick<Attached, 'latestSequence' | 'status'>) => void;
  readonly heartbeat: (frame: Pick<Heartbeat, 'status'>) => void;
  /** Resolves when the next one may be read. */
  readonly event: (event: SeenEvent) => Promise<void>;
}

export interface LocalClient {
  readonly call: (command: CallCommand) => Promise<JsonObject>;
  readonly observe: (
    command: ObserveCommand,
    sights: Sights,
  ) => Promise<Omit<ObservedEnd, 'attachments'>>;
  readonly toError: (thrown: unknown) => CallError;
  readonly close: () => void;
}

export function localDriver(client: LocalClient): StartDriver {
  return (say) => {
    const running = new Map<
      string,
      { leave: AbortController; resume: PromiseWithResolvers<void> }
    >();

    async function call(command: CallCommand): Promise<void> {
      const { id } = command;
      try {
        say({ id, response: await client.call(command) });
      } catch (thrown) {
        say({ id, error: client.toError(thrown) });
      }
    }

    async function observe(command: ObserveCommand): Promise<void> {
      const { id } = command;
      const own = { leave: new AbortController(), resume: Promise.withResolvers<void>() };
      running.set(id, own);
      let attachments = 0;
      try {
        const end = await client.observe(command, {
          signal: own.leave.signal,
          attached: ({ latestSequence, status }) => {
            attachments += 1;
            say({ id, attached: { latestSequence, status: statusName(status) } });
          },
          heartbeat: ({ status }) => say({ id, heartbeat: { status: statusName(status) } }),
          event: async (event) => {
            say({ id, event });
            if (event.sequence === command.pauseAfterEvent) await own.resume.promise;
          },
        });
        say({ id, end: { ...end, attachments } });
      } catch (thrown) {
        if (own.leave.signal.aborted) say({ id, left: true });
        else say({ id, error: client.toError(thrown) });
      }
    }

    return {
      send: (command) => {
        switch (command.op) {
          case 'call':
            return void call(command);
          case 'observe':
            return void observe(command);
          case 'resume':
            return running.get(command.target)?.resume.resolve();
          case 'leave':
            return running.get(command.target)?.leave.abort();
        }
      },
      [Symbol.asyncDispose]: async () => {
        for (const { leave } of running.values()) leave.abort();
        client.close();
      },
    };
  };
}

export function statusName(status: ChatStreamStatus): string {
  return ChatStreamStatusSchema.value[status]?.name ?? String(status);
}

export function methodOf(rpc: Rpc) {
  const found = ChatStreamService.methods.find(({ name }) => name === rpc);
  if (found === undefined) throw new Error(`there is no rpc ${rpc}`);
  return found;
}
