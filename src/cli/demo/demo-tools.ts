// `tailrace demo --tools`: two chats whose model must call a tool, with calls, results and citations as they happen.
import * as z from 'zod';
import type { AnswerPart, ChatSnapshot } from '../../../clients/typescript/src/snapshot.ts';
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamService } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Demo } from '../../main/demo.ts';
import { failureText, statusName, usageText } from '../terminal/chat-text.ts';
import { connect } from '../connection/connection.ts';
import { answerPrinter } from './demo-printer.ts';
import { askDatabase, askNotes, type DemoQuestion } from './demo-questions.ts';
import type { ExitCode } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { harmless, onOut, print } from '../terminal/terminal.ts';

const FORCED_EMBEDDED = [
  'What is forced: that the tool is called, by tool_choice, and that its input fits the',
  'tool’s schema, by a grammar. What is not: the SQL, the words to search for, the answer',
  'and its citations. They are the model’s own, after two examples that each request has as',
  'earlier messages; without them so small a model writes nonsense. Questions and notes were',
  'chosen because it gets them right: most others that were tried it did not.',
];
const FORCED = [
  'What is forced: that the tool is called, by tool_choice. All else is the model’s own,',
  'after two examples that each request has as earlier messages.',
];

export async function runToolsDemo(demo: Demo, signal: AbortSignal): Promise<ExitCode> {
  for (const line of demo.modelServer === undefined ? FORCED_EMBEDDED : FORCED) print(line);
  let status: ChatStreamStatus = ChatStreamStatus.COMPLETED;
  for (const question of [askDatabase(demo.database), askNotes(demo.notes)]) {
    const last = await ask(demo, question, signal);
    if (last.status !== ChatStreamStatus.COMPLETED) status = last.status;
  }
  print('');
  print(
    'In the repository both requests are in src/cli/demo/demo-questions.ts, and what they ask about in demo/.',
  );
  print('All tools, and how they are asked for: docs/TOOLS.md.');
  return exitOfStatus(status);
}

async function ask(
  { url, page }: Demo,
  { asked, request }: DemoQuestion,
  signal: AbortSignal,
): Promise<ChatSnapshot> {
  signal.throwIfAborted();
  const { postJson, watching } = connect({ address: url });
  const { streamId } = await postJson(ChatStreamService.method.initiateChatStream, { request });
  print('');
  if (page) print(`Watch it in a browser too, while this runs: ${url}/#${streamId}\n`);
  print(onOut('bold', `> ${asked}`));
  print('');
  const shows = shower();
  let last: ChatSnapshot | undefined;
  for await (const update of watching.observe(streamId, { signal })) {
    last = update.snapshot;
    if (update.kind === 'event') shows.event(update.event, last);
  }
  shows.end();
  if (last === undefined || !last.ended) {
    throw new Error('The stream ended without its terminal event.');
  }
  if (last.failure !== undefined) print(`failure    ${failureText(last.failure)}`);
  const proof = last.verified ? ': count of events and SHA-256 of the text verified' : '';
  print('');
  print(`${statusName(last.status)}, ${last.sequence} events${proof}`);
  print(`stream id  ${streamId}`);
  print(`usage      ${usageText(last.usage)}`);
  return last;
}

/** Text as it comes, and a line or more for what is none. */
function shower(): {
  readonly event: (event: Event, snapshot: ChatSnapshot) => void;
  readonly end: () => void;
} {
  let answer: ReturnType<typeof answerPrinter> | undefined;
  const end = (): void => {
    answer?.done();
    answer = undefined;
  };
  const lines = (label: string, shown: readonly string[]): void => {
    end();
    shown.forEach((line, i) => {
      const head = i === 0 ? onOut('cyan', label.padEnd(LABEL_COLUMNS)) : ' '.repeat(LABEL_COLUMNS);
      print(`${head}${harmless(line)}`.trimEnd());
    });
  };
  return {
    event: ({ payload }, snapshot) => {
      switch (payload.case) {
        case 'textDelta':
          if (answer === undefined) lines('answers', ['']);
          answer ??= answerPrinter();
          answer.more(harmless(payload.value.text));
          break;
        case 'citation': {
          const { document, quote } = payload.value;
          const said = quote === '' ? 'words that it does not have' : `“${quote}”`;
          lines('cites', [`${document}: ${said}`]);
          break;
        }
        case 'blockStopped': {
          const part = snapshot.parts.find(({ index }) => index === payload.value.index);
          if (part?.kind === 'toolUse') lines('calls', [`${part.name} ${part.input}`]);
          if (part?.kind === 'toolResult')
            lines(part.isError ? 'error' : 'gets', resultLines(part));
          break;
        }
        case 'warning':
          lines('warning', [payload.value.message]);
          break;
        default:
          break;
      }
    },
    end,
  };
}

const LABEL_COLUMNS = 'warning  '.length;

const rowsOrPassages = z.union([
  z
    .object({ columns: z.array(z.string()), rows: z.array(z.array(z.unknown())) })
    .transform(({ columns, rows }) => [columns, ...rows].map((row) => row.join(' | '))),
  z
    .object({ passages: z.array(z.object({ document: z.string(), quote: z.string() })) })
    .transform(({ passages }) => passages.map(({ document, quote }) => `${document}: ${quote}`)),
]);

function resultLines({ content }: Extract<AnswerPart, { kind: 'toolResult' }>): string[] {
  const text = content.map(({ block }) => (block.case === 'text' ? block.value : '')).join('\n');
  try {
    return rowsOrPassages.parse(JSON.parse(text));
  } catch {
    // What failed is said in words.
    return text.split('\n');
  }
}
