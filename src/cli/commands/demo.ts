// `tailrace demo`: a chat through the public API, on a Tailrace of its own with real parts.
import type { Command } from 'commander';
import type { ChatSnapshot } from '../../../clients/typescript/src/snapshot.ts';
import { ChatStreamService } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Demo } from '../../main/demo.ts';
import { failureText, statusName, usageText } from '../terminal/chat-text.ts';
import { connect } from '../connection/connection.ts';
import { answerPrinter } from '../demo/demo-printer.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { usageFailure } from '../outcome/failure.ts';
import { command, ending } from './run.ts';
import { print } from '../terminal/terminal.ts';

const DEFAULT_QUESTION = 'What is a river? Answer in two sentences.';
const MAX_TOKENS = 200;

export function demoCommand(): Command {
  return command('demo', 'show a chat with a Tailrace of its own, that goes with it', [
    ['tailrace demo', 'with a small embedded model'],
    ['tailrace demo "Why is the sky blue?"', 'a question of your own'],
    ['tailrace demo --tools', 'a database asked and documents searched'],
  ])
    .argument('[question...]', 'what is asked')
    .option('--tools', 'two questions that need tools: calls, results and citations as they happen')
    .action(
      ending<{ readonly tools?: true }>(async ({ tools = false }, words) => {
        const asked = words.join(' ').trim();
        if (tools && asked !== '') {
          throw usageFailure('--tools has questions of its own: leave out yours, or --tools.');
        }
        const question = asked || DEFAULT_QUESTION;
        const { startDemo } = await import('../../main/demo.ts');
        using interruption = interruptions();
        const { signal } = interruption;
        await using demo = await startDemo(process.env);
        const model = demo.modelServer ?? 'the embedded model';
        print(`Tailrace serves on ${demo.url}, with a NATS server of its own and ${model}.`);
        if (demo.modelServer === undefined) {
          print(
            'The embedded model is small: it shows that everything works, it does not know much.',
          );
        }
        print('');
        try {
          if (!tools) return exitOfStatus((await runChat(demo, question, signal)).status);
          const { runToolsDemo } = await import('../demo/demo-tools.ts');
          return await runToolsDemo(demo, signal);
        } catch (error) {
          if (!signal.aborted) throw error;
          return EXIT.interrupted;
        }
      }),
    );
}

/** Whatever ends a demo ends what it has started: nobody would come back for it. */
function interruptions(): Disposable & { readonly signal: AbortSignal } {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.once(name, leave);
  return {
    signal: leaving.signal,
    [Symbol.dispose]: () => names.forEach((name) => process.off(name, leave)),
  };
}

type Shown = Pick<Demo, 'url' | 'page'>;

async function runChat(
  { url, page }: Shown,
  question: string,
  signal: AbortSignal,
): Promise<ChatSnapshot> {
  signal.throwIfAborted();
  const { postJson, watching } = connect({ address: url });
  const startedMs = performance.now();
  const { streamId } = await postJson(ChatStreamService.method.initiateChatStream, {
    request: {
      messages: [{ role: 'ROLE_USER', content: [{ text: question }] }],
      max_tokens: MAX_TOKENS,
    },
  });
  const initiatedMs = performance.now() - startedMs;
  if (page) print(`Watch it in a browser too, while this runs: ${url}/#${streamId}\n`);
  print(`> ${question}`);
  print('');
  const printed = answerPrinter();
  let firstTokenMs: number | undefined;
  let last: ChatSnapshot | undefined;
  for await (const update of watching.observe(streamId, { signal })) {
    last = update.snapshot;
    if (update.kind !== 'event' || update.event.payload.case !== 'textDelta') continue;
    firstTokenMs ??= performance.now() - startedMs;
    printed.more(update.event.payload.value.text);
  }
  printed.done();
  if (last === undefined || !last.ended) {
    throw new Error('The stream ended without its terminal event.');
  }
  report(last, question, { initiatedMs, firstTokenMs, wholeMs: performance.now() - startedMs });
  return last;
}

interface Times {
  readonly initiatedMs: number;
  readonly firstTokenMs: number | undefined;
  readonly wholeMs: number;
}

function report(last: ChatSnapshot, question: string, times: Times): void {
  const { initiatedMs, firstTokenMs, wholeMs } = times;
  const first = firstTokenMs === undefined ? '-' : `${firstTokenMs.toFixed(0)} ms`;
  const proof = last.verified ? ', count and SHA-256 of the text verified' : '';
  print('');
  print(`stream id            ${last.streamId}`);
  print(`status               ${statusName(last.status)}`);
  print(`usage                ${usageText(last.usage)}`);
  print(`id after             ${initiatedMs.toFixed(1)} ms`);
  print(`first token after    ${first}`);
  print(`whole answer after   ${(wholeMs / 1_000).toFixed(1)} s`);
  print(`events               ${last.sequence}${proof}`);
  if (last.failure !== undefined) print(`failure              ${failureText(last.failure)}`);
  print('');
  print('The same by hand, with `tailrace serve` (npm start) running in another terminal:');
  for (const line of byHand(question)) print(line);
}

function byHand(text: string): string[] {
  const quoted = (value: string): string => `'${value.replaceAll("'", String.raw`'\''`)}'`;
  const body = quoted(
    JSON.stringify({ request: { messages: [{ role: 'ROLE_USER', content: [{ text }] }] } }),
  );
  const address = '127.0.0.1:8080';
  const service = 'tailrace.v1.ChatStreamService';
  return [
    '',
    `  tailrace initiate ${quoted(text)} --follow`,
    '',
    `  grpcurl -plaintext -d ${body} ${address} ${service}/InitiateChatStream`,
    `  grpcurl -plaintext -d '{"streamId":"<stream id>"}' ${address} ${service}/ObserveChatStream`,
    '',
    `  curl -H 'content-type: application/json' -d ${body} http://${address}/${service}/InitiateChatStream`,
    `  curl -H 'content-type: application/json' -d '{"streamId":"<stream id>","view":"CHAT_STREAM_VIEW_FULL"}' http://${address}/${service}/WaitChatStream`,
  ];
}
