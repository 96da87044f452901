// `tailrace wait`: nothing until the chat is at its end, then its answer; the exit code says how it ended.
import type { Command } from 'commander';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { ChatStreamView, type ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { CLI_CALL_TIMEOUT_MS, CLI_WAIT_MS } from '../../chat/limits.ts';
import { answerText, chatLines, failureText, standing } from '../terminal/chat-text.ts';
import { connect, type Connection } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT, type ExitCode } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { parseDurationMs } from '../request/values.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { chatJson, given } from '../terminal/show-chat.ts';
import { harmless, note, print, printJson, shown } from '../terminal/terminal.ts';

interface WaitOptions extends ConnectionOptions, JsonOption {
  readonly timeout?: number;
}

export function waitCommand(): Command {
  const made = command('wait', 'wait for the end of a chat and print its answer', [
    ['tailrace wait 0199f…', 'the answer on stdout, how it ended on stderr'],
    ['tailrace wait 0199f… --timeout 5m', 'exit code 12 when that is over'],
    ["tailrace wait 0199f… --json | jq -r '.output_json'", 'an answer by a schema'],
  ])
    .argument('<stream-id>', 'the chat')
    .option('--timeout <time>', 'the longest wait, for example 90s or 5m', parseDurationMs);
  return withConnection(withJson(made)).action(
    ending<WaitOptions>(async (options, [streamId = '']) => {
      const chat = await waitFor(connect(options), streamId, options.timeout ?? Infinity);
      return showEnd(chat, options);
    }),
  );
}

export async function waitFor(
  { client }: Connection,
  streamId: string,
  timeoutMs: number,
): Promise<ChatStream> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    // Whole: Connect's header of a timeout is digits.
    const leftMs = Math.ceil(Math.max(0, Math.min(CLI_WAIT_MS, deadline - performance.now())));
    const { chatStream } = await client.waitChatStream(
      { streamId, view: ChatStreamView.FULL, timeout: durationFromMs(leftMs) },
      { timeoutMs: leftMs + CLI_CALL_TIMEOUT_MS },
    );
    const chat = given(chatStream);
    const over = exitOfStatus(chat.status) !== EXIT.chatNotOver;
    if (over || chat.pendingToolUses.length > 0 || performance.now() >= deadline) return chat;
  }
}

/** The answer, and how it ended. */
export function showEnd(chat: ChatStream, options: JsonOption): ExitCode {
  const exit = exitOfStatus(chat.status);
  if (options.json === true) {
    printJson(chatJson(chat));
    return exit;
  }
  const text = answerText(chat.output);
  if (text !== '') print(shown(text));
  if (chat.outputTruncated) {
    note('The answer is longer than one message may be and is cut; `tailrace observe` has all.');
  }
  note(harmless(`${chat.streamId}: ${standing(chat)}`));
  if (chat.failure !== undefined) note(harmless(`  ${failureText(chat.failure)}`));
  for (const [key, value] of chatLines(chat)) {
    if (key === 'wants') note(harmless(`  wants ${value}`));
  }
  return exit;
}
