// `tailrace initiate`: starts a chat and leaves it to run; prints its id. The request is of flags, a file, or
// both, and is sent as it is: the server says what is wrong with it.
import type { JsonObject } from '@bufbuild/protobuf';
import { toJson } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { newStreamId } from '../../../clients/typescript/src/stream-id.ts';
import {
  ChatStreamService,
  InitiateChatStreamResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { usageFailure } from '../outcome/failure.ts';
import { followChat } from '../connection/follow.ts';
import { readObject, saidText } from '../request/input.ts';
import {
  fieldsOf,
  isObject,
  requestFrom,
  type RequestFlags,
  userMessage,
  withRequestFlags,
} from '../request/request-flags.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { harmless, note, print, printJson } from '../terminal/terminal.ts';
import { parseDurationMs } from '../request/values.ts';

interface InitiateOptions extends ConnectionOptions, JsonOption, RequestFlags {
  readonly file?: string;
  readonly streamId?: string;
  readonly awaitToolResults?: true;
  readonly ttl?: number;
  readonly follow?: true;
}

export function initiateCommand(): Command {
  const made = command('initiate', 'start a chat, and print its id', [
    ['tailrace initiate "What is a river?"', 'it runs on, whoever leaves'],
    ['tailrace initiate "What is a river?" --follow', 'and shows the answer as it comes'],
    ['git diff | tailrace initiate "Review this." -m gpt-5-mini', 'stdin comes after the text'],
    ['tailrace initiate -f request.yaml --priority 0', 'a file as the API has it; flags win'],
    ['tailrace observe "$(tailrace initiate "Hi")"', 'stdout is the id alone'],
  ])
    .argument('[text...]', 'what the user says')
    .option(
      '-f, --file <file>',
      'the request in JSON or YAML, as for InitiateChatStream; - is stdin',
    )
    .option('--stream-id <id>', 'your own id: the same id with the same request is the same chat')
    .option('--await-tool-results', 'wait for `tailrace submit` where the model calls your tools')
    .option('--ttl <time>', 'how long it is kept, for example 1h or 7d', parseDurationMs)
    .option('--no-stream', 'events with whole blocks instead of deltas')
    .option('--follow', 'show the answer as it comes, and exit as `tailrace observe` does');
  return withConnection(withJson(withRequestFlags(made))).action(
    ending<InitiateOptions>(async (options, words) => {
      const connection = connect(options);
      const body = await bodyOf(options, words);
      const answer = await connection.postJson(ChatStreamService.method.initiateChatStream, body);
      const { streamId, created } = answer;
      if (options.follow === true) {
        if (options.json !== true) note(harmless(streamId));
        return followChat(connection, streamId, options);
      }
      if (options.json === true) {
        printJson(toJson(InitiateChatStreamResponseSchema, answer, { useProtoFieldName: true }));
        return EXIT.ok;
      }
      print(harmless(streamId));
      if (created === false) note('It was there already: the same request under the same id.');
      return EXIT.ok;
    }),
  );
}

async function bodyOf(options: InitiateOptions, words: readonly string[]): Promise<JsonObject> {
  const { file, streamId, ttl, awaitToolResults } = options;
  const inFile =
    file === undefined ? {} : await readObject(file, 'a request: {request: {messages: …}}');
  const request = inFile['request'] ?? {};
  if (!isObject(request)) throw usageFailure('request in the file must be an object.');
  // What is piped in beside a file is not meant for the message.
  const text = file === undefined ? await saidText(words) : words.join(' ').trim() || undefined;
  const fields = await fieldsOf(options);
  if (options.stream === false) fields['stream'] = false;
  const whole = requestFrom(request, fields, await userMessage(text, options));
  if (file === undefined && whole['messages'] === undefined) {
    throw usageFailure('There is nothing to ask.', 'give a text, or a request with --file.');
  }
  return {
    // Its own id makes a repeat after a lost answer safe.
    stream_id: newStreamId(),
    ...inFile,
    ...(streamId === undefined ? {} : { stream_id: streamId }),
    ...(ttl === undefined ? {} : { ttl: `${ttl / 1_000}s` }),
    ...(awaitToolResults === undefined ? {} : { await_tool_results: true }),
    request: whole,
  };
}
