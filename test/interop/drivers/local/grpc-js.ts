// The interop suite's driver of @grpc/grpc-js, which shares no code with the server.
import { fromJson, type JsonObject, type Message, toJson } from '@bufbuild/protobuf';
import { chatClient, type ChatClient, grpcJsTransport } from '../../../support/clients.ts';
import type { Target } from '../../driver.ts';
import { observeByHand } from './by-hand.ts';
import { callError } from './errors.ts';
import { localDriver, methodOf } from './local-driver.ts';

export function grpcJsDriver() {
  const clients = new Map<string, ChatClient & Disposable>();
  const clientOf = ({ url, token }: Target): ChatClient => {
    const key = `${url} ${token}`;
    const made =
      clients.get(key) ??
      chatClient(
        { name: 'grpc-js', transport: grpcJsTransport },
        url,
        token === undefined ? {} : { token },
      );
    clients.set(key, made);
    return made;
  };
  return localDriver({
    call: async (command) => {
      const method = methodOf(command.rpc);
      const request = fromJson(method.input, command.request);
      const { timeoutMs } = command;
      const options = timeoutMs === undefined ? {} : { timeoutMs };
      const client = clientOf(command);
      const rpc = client[method.localName as keyof ChatClient] as (
        request: object,
        options: object,
      ) => Promise<Message>;
      return toJson(method.output, await rpc(request, options)) as JsonObject;
    },
    observe: (command, sights) => {
      const { streamId } = command;
      const client = clientOf(command);
      return observeByHand(command, sights, (afterSequence, signal) =>
        client.observeChatStream({ streamId, afterSequence }, { signal }),
      );
    },
    toError: callError,
    close: () => {
      for (const client of clients.values()) client[Symbol.dispose]();
    },
  });
}
