// All of Tailrace in the test's own process: on a nats-server of its own, before a model server that says what each
// prompt scripts, with a client.
import { type ModelServer, startModelServer } from '../../model-server/model-server.ts';
import { type ChatClient, grpcClient } from '../clients.ts';
import { startNats, type TestNats } from './nats.ts';
import { startTestTailrace, type TestTailrace } from './tailrace.ts';

export interface ScriptedTailrace extends AsyncDisposable {
  readonly nats: TestNats;
  readonly model: ModelServer;
  readonly tailrace: TestTailrace;
  readonly client: ChatClient;
}

/** What is set beside the model server, which is `OPENAI_BASE_URL` unless it is set here. */
export type SettingsFor = (model: ModelServer) => Readonly<Record<string, string>>;

export async function startScripted(
  settingsFor: SettingsFor = () => ({}),
): Promise<ScriptedTailrace> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const model = stack.use(await startModelServer());
  const settings = { OPENAI_BASE_URL: model.url, ...settingsFor(model) };
  const tailrace = stack.use(await startTestTailrace(nats.access, settings));
  const owned = stack.move();
  return {
    nats,
    model,
    tailrace,
    client: grpcClient(tailrace.url),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
