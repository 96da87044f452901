// `npm run demo`: a chat through the public API, on a Tailrace of its own with real parts.
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChatStreamStatusSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { readConfig } from '../ops/config.ts';
import { createLogger } from '../ops/logging.ts';
import { readFindings } from './findings.ts';
import { startTailrace } from './tailrace.ts';

const DEFAULT_QUESTION = 'What is a river? Answer in two sentences.';
const MAX_TOKENS = 200;
const LINE_COLUMNS = 80;
/** Where "npm start" serves. */
const START_ADDRESS = '127.0.0.1:8080';

const question = process.argv.slice(2).join(' ').trim() || DEFAULT_QUESTION;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const dataDir = await mkdtemp(join(tmpdir(), 'tailrace-demo-'));
try {
  const config = readConfig({
    ...process.env,
    TAILRACE_LISTEN: '127.0.0.1:0',
    TAILRACE_DATA_DIR: dataDir,
    TAILRACE_ROLES: 'api,worker',
    TAILRACE_TOKENS_FILE: '',
    TAILRACE_LOG_LEVEL: process.env['TAILRACE_LOG_LEVEL'] ?? 'warn',
  });
  const logger = createLogger(config.logLevel);
  await using tailrace = await startTailrace(config, readFindings(), logger, process.env);
  const url = tailrace.url ?? '';
  const model =
    config.modelServer === undefined ? 'the embedded model' : config.modelServer.baseUrl;
  say(`Tailrace serves on ${url}, with a NATS server of its own and ${model}.`);
  if (config.modelServer === undefined) {
    say('The embedded model is small: it shows that everything works, it does not know much.');
  }
  say('');
  await runChat(url, config.page);
} finally {
  await rm(dataDir, { recursive: true, force: true });
}

async function runChat(url: string, hasPage: boolean): Promise<void> {
  const client = createClient(ChatStreamService, createGrpcTransport({ baseUrl: url }));
  const startedMs = performance.now();
  const { streamId } = await client.initiateChatStream({
    request: {
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: question } }] }],
      maxTokens: MAX_TOKENS,
    },
  });
  const initiatedMs = performance.now() - startedMs;
  if (hasPage) say(`Watch it in a browser too, while this runs: ${url}/#${streamId}\n`);
  say(`> ${question}`);
  say('');
  const print = answerPrinter();
  let firstTokenMs: number | undefined;
  let last: Event | undefined;
  for await (const { frame } of client.observeChatStream({ streamId })) {
    if (frame.case !== 'batch') continue;
    for (const event of frame.value.events) {
      last = event;
      if (event.payload.case !== 'textDelta') continue;
      firstTokenMs ??= performance.now() - startedMs;
      print.more(event.payload.value.text);
    }
  }
  print.done();
  report(streamId, last, initiatedMs, firstTokenMs, performance.now() - startedMs);
  say('');
  if (hasPage) say(`The same in a browser, with "npm start" running: http://${START_ADDRESS}`);
  say('The same by hand, with "npm start" running in another terminal:');
  for (const line of byHand(question)) say(line);
}

function report(
  streamId: string,
  last: Event | undefined,
  initiatedMs: number,
  firstTokenMs: number | undefined,
  wholeMs: number,
): void {
  const end = last?.payload;
  if (
    end?.case !== 'completed' &&
    end?.case !== 'failed' &&
    end?.case !== 'cancelled' &&
    end?.case !== 'error'
  ) {
    throw new Error('The stream ended without its terminal event.');
  }
  const { status, usage, failure, contentSha256, lastSequence } = end.value;
  const name = ChatStreamStatusSchema.value[status]?.localName ?? String(status);
  say('');
  say(`stream id            ${streamId}`);
  say(`status               ${name}`);
  say(`tokens               ${tokens(usage)}`);
  say(`id after             ${initiatedMs.toFixed(1)} ms`);
  say(`first token after    ${firstTokenMs === undefined ? '-' : `${firstTokenMs.toFixed(0)} ms`}`);
  say(`whole answer after   ${(wholeMs / 1_000).toFixed(1)} s`);
  say(`events               ${lastSequence}, sha256 of the text ${contentSha256.slice(0, 16)}…`);
  if (failure !== undefined) {
    say(`failure              ${failure.message}`);
    process.exitCode = 1;
  }
}

function tokens(usage: Usage | undefined): string {
  const read = usage?.inputTokens ?? '?';
  const written = usage?.outputTokens ?? '?';
  return `${read} in, ${written} out`;
}

function byHand(text: string): string[] {
  const body = JSON.stringify({
    request: { messages: [{ role: 'ROLE_USER', content: [{ text }] }] },
  }).replaceAll("'", String.raw`'\''`);
  const service = 'tailrace.v1.ChatStreamService';
  return [
    '',
    `  grpcurl -plaintext -d '${body}' ${START_ADDRESS} ${service}/InitiateChatStream`,
    `  grpcurl -plaintext -d '{"streamId":"<stream id>"}' ${START_ADDRESS} ${service}/ObserveChatStream`,
    '',
    `  curl -H 'content-type: application/json' -d '${body}' http://${START_ADDRESS}/${service}/InitiateChatStream`,
    `  curl -H 'content-type: application/json' -d '{"streamId":"<stream id>","view":"CHAT_STREAM_VIEW_FULL"}' http://${START_ADDRESS}/${service}/WaitChatStream`,
  ];
}

interface AnswerPrinter {
  readonly more: (text: string) => void;
  readonly done: () => void;
}

/** To a terminal as it comes; elsewhere in whole lines. */
function answerPrinter(): AnswerPrinter {
  if (process.stdout.isTTY) {
    return {
      more: (text) => void process.stdout.write(text),
      done: () => void process.stdout.write('\n'),
    };
  }
  let line = '';
  const flush = (upTo: number): void => {
    say(line.slice(0, upTo).trimEnd());
    line = line.slice(upTo).replace(/^[ \n]/, '');
  };
  return {
    more: (text) => {
      line += text;
      for (;;) {
        const newline = line.indexOf('\n');
        if (newline >= 0) flush(newline);
        else if (line.length > LINE_COLUMNS) {
          const space = line.lastIndexOf(' ', LINE_COLUMNS);
          flush(space > 0 ? space : LINE_COLUMNS);
        } else return;
      }
    },
    done: () => {
      if (line !== '') flush(line.length);
    },
  };
}
