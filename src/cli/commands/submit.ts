// `tailrace submit`: the results of tools that a waiting chat has asked for.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { ChatStreamService } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { standing } from '../terminal/chat-text.ts';
import { connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { usageFailure } from '../outcome/failure.ts';
import { readObject } from '../request/input.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { chatJson, given } from '../terminal/show-chat.ts';
import { harmless, print, printJson } from '../terminal/terminal.ts';
import { addPair } from '../request/values.ts';

interface SubmitOptions extends ConnectionOptions, JsonOption {
  readonly result?: Readonly<Record<string, string>>;
  readonly error?: Readonly<Record<string, string>>;
  readonly file?: string;
}

export function submitCommand(): Command {
  const made = command('submit', 'give a waiting chat the results of its tools', [
    ['tailrace get 0199f…', 'shows the calls that it waits for, with their ids'],
    ['tailrace submit 0199f… --result call_1=\'{"degrees":21}\'', 'with the last one it goes on'],
    ['tailrace submit 0199f… --error call_1="no such city"', 'the model is told that it failed'],
    ['tailrace submit 0199f… -f results.json', '{"results":[{"tool_use_id":…,"content":[…]}]}'],
  ])
    .argument('<stream-id>', 'the chat')
    .option(
      '--result <id=text>',
      'what the call with that id gave; may be repeated',
      addPair('id=text'),
    )
    .option(
      '--error <id=text>',
      'how the call with that id failed; may be repeated',
      addPair('id=text'),
    )
    .option('-f, --file <file>', 'results in JSON or YAML, as for SubmitToolResults; - is stdin');
  return withConnection(withJson(made)).action(
    ending<SubmitOptions>(async (options, [streamId = '']) => {
      const { file } = options;
      const inFile = file === undefined ? {} : await readObject(file, 'results: {results: [ … ]}');
      const before = inFile['results'] ?? [];
      if (!Array.isArray(before)) throw usageFailure('results in the file must be a list.');
      const results = [
        ...before,
        ...Object.entries(options.result ?? {}).map(([id, text]) => resultOf(id, text)),
        ...Object.entries(options.error ?? {}).map(([id, text]) => ({
          ...resultOf(id, text),
          is_error: true,
        })),
      ];
      if (results.length === 0) {
        throw usageFailure('There is no result to give.', 'use --result, --error or --file.');
      }
      const body = { ...inFile, stream_id: streamId, results };
      const { postJson } = connect(options);
      const { chatStream } = await postJson(ChatStreamService.method.submitToolResults, body);
      const chat = given(chatStream);
      if (options.json === true) printJson(chatJson(chat));
      else print(harmless(`${chat.streamId}: ${standing(chat)}`));
      return EXIT.ok;
    }),
  );
}

function resultOf(id: string, text: string): JsonObject {
  return { tool_use_id: id, content: [{ text }] };
}
