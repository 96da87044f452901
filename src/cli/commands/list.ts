// `tailrace list`: the chats of the token's tenant, newest first.
import type { Command } from 'commander';
import { type MessageInitShape, toJson } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from 'commander';
import {
  type ChatStream,
  ChatStreamStatus,
  ChatStreamStatusSchema,
} from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  type ListChatStreamsRequestSchema,
  ListChatStreamsResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { standing, timeText } from '../terminal/chat-text.ts';
import { callOptions, connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { note, print, printJson, table } from '../terminal/terminal.ts';
import { addPair, parseTime, parseWhole } from '../request/values.ts';

interface ListOptions extends ConnectionOptions, JsonOption {
  readonly status?: readonly ChatStreamStatus[];
  readonly correlationId?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly since?: Date;
  readonly before?: Date;
  readonly limit: number;
  readonly pageToken?: string;
}

const DEFAULT_LIMIT = 50;

export function listCommand(): Command {
  const made = command('list', 'list your chats, newest first', [
    ['tailrace list', 'the newest 50'],
    ['tailrace list --status pending,processing', 'what is not at its end'],
    ['tailrace list --since 2h --metadata team=search', 'of the last two hours, with that pair'],
    ["tailrace list --json | jq -r '.chat_streams[].stream_id'", 'the ids alone'],
  ])
    .option('--status <names>', 'only in these states, with commas between', parseStatuses)
    .option('--correlation-id <id>', 'only with this correlation id')
    .option('--metadata <key=value>', 'only with this pair; may be repeated', addPair('key=value'))
    .option('--since <time>', 'accepted after it: a time, or how long ago', parseTime)
    .option('--before <time>', 'accepted before it: a time, or how long ago', parseTime)
    .option('--limit <count>', 'the most of them, up to 500', parseLimit, DEFAULT_LIMIT)
    .option('--page-token <token>', 'go on after a list: its next_page_token');
  return withConnection(withJson(made)).action(
    ending<ListOptions>(async (options) => {
      const answer = await connect(options).client.listChatStreams(asked(options), callOptions());
      if (options.json === true) {
        printJson(toJson(ListChatStreamsResponseSchema, answer, { useProtoFieldName: true }));
        return EXIT.ok;
      }
      show(answer.chatStreams);
      if (answer.nextPageToken !== '') {
        note(`There are more: --page-token ${answer.nextPageToken}`);
      }
      return EXIT.ok;
    }),
  );
}

function asked(options: ListOptions): MessageInitShape<typeof ListChatStreamsRequestSchema> {
  const { status, correlationId, metadata, since, before, limit, pageToken } = options;
  return {
    pageSize: limit,
    pageToken: pageToken ?? '',
    statuses: [...(status ?? [])],
    correlationId: correlationId ?? '',
    metadata: { ...metadata },
    ...(since === undefined ? {} : { createdAfter: timestampFromDate(since) }),
    ...(before === undefined ? {} : { createdBefore: timestampFromDate(before) }),
  };
}

function show(chats: readonly ChatStream[]): void {
  if (chats.length === 0) return note('There are no such chats.');
  const rows = chats.map((chat) => [
    chat.streamId,
    timeText(chat.createdAt),
    standing(chat),
    chat.model,
    chat.correlationId,
  ]);
  const head = ['STREAM ID', 'CREATED', 'STATUS', 'MODEL', 'CORRELATION ID'];
  for (const line of table(head, rows)) print(line);
}

const STATUSES = new Map(
  ChatStreamStatusSchema.values
    .filter(({ number }) => number !== ChatStreamStatus.UNSPECIFIED)
    .map(({ localName, number }) => [localName.toLowerCase(), number as ChatStreamStatus]),
);

function parseStatuses(text: string): readonly ChatStreamStatus[] {
  return text.split(',').map((name) => {
    const status = STATUSES.get(name.trim().toLowerCase().replace('chat_stream_status_', ''));
    if (status !== undefined) return status;
    throw new InvalidArgumentError(`Those there are: ${[...STATUSES.keys()].join(', ')}.`);
  });
}

/** 0 would be the server's own default. */
function parseLimit(text: string): number {
  const limit = parseWhole(text);
  if (limit >= 1) return limit;
  throw new InvalidArgumentError('It must be a whole number from 1 on.');
}
