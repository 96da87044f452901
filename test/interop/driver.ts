// What every client's driver reads and writes, and how scenarios call it. A driver runs for the whole suite, as a
// process with JSON lines on stdin and stdout or in this one. It makes calls and observations by its client, and
// judges nothing: that is the scenarios'.
//
// It reads   {"id", "op": "call", "url", "token"?, "rpc", "request", "timeoutMs"?}
//            {"id", "op": "observe", "url", "token"?, "streamId", "afterSequence"?, "silenceMs"?, "pauseAfterEvent"?}
//            {"op": "resume" | "leave", "target"}    of a paused observation; of any
// It writes  {"id", "response"} or {"id", "error"}   once for each call, as proto JSON
//            {"id", "attached" | "heartbeat" | "event"}, and at the end {"id", "end" | "error" | "left"}
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { JsonObject } from '@bufbuild/protobuf';
import { within } from '../support/until.ts';

export interface Target {
  readonly url: string;
  readonly token?: string;
}

export type Rpc =
  | 'InitiateChatStream'
  | 'GetChatStream'
  | 'WaitChatStream'
  | 'ListChatStreams'
  | 'CancelChatStream'
  | 'DeleteChatStream'
  | 'SubmitToolResults'
  | 'ListModels';

export interface CallCommand extends Target {
  readonly id: string;
  readonly op: 'call';
  readonly rpc: Rpc;
  readonly request: JsonObject;
  readonly timeoutMs?: number;
}

export interface ObserveOptions {
  readonly afterSequence?: number;
  /** After so long without a frame the client is to take its connection for dead. */
  readonly silenceMs?: number;
  /** After this event nothing is read until `resume`. */
  readonly pauseAfterEvent?: number;
}

export interface ObserveCommand extends Target, ObserveOptions {
  readonly id: string;
  readonly op: 'observe';
  readonly streamId: string;
}

export interface SteerCommand {
  readonly op: 'resume' | 'leave';
  readonly target: string;
}

export type Command = CallCommand | ObserveCommand | SteerCommand;

/** An error as its client tells it. */
export interface CallError {
  readonly code: string;
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly retryAfterMs: number;
}

export interface SeenEvent {
  readonly sequence: number;
  readonly attempt: number;
  readonly case: string;
}

export interface ObservedEnd {
  /** As the client has folded it. */
  readonly text: string;
  readonly cursor: number;
  readonly attachments: number;
  /** Of the terminal event; missing where none came. */
  readonly status?: string;
  readonly stopReason?: string;
}

export interface Line {
  readonly id: string;
  readonly response?: JsonObject;
  readonly error?: CallError;
  readonly attached?: { readonly latestSequence: number; readonly status: string };
  readonly heartbeat?: { readonly status: string };
  readonly event?: SeenEvent;
  readonly end?: ObservedEnd;
  readonly left?: true;
}

export type Say = (line: Line) => void;

export interface Driver extends AsyncDisposable {
  readonly send: (command: Command) => void;
}

export type StartDriver = (say: Say, failed: (error: Error) => void) => Driver;

/** A driver that is a program of its own. It ends when its stdin does. */
export function processDriver(program: string, args: readonly string[]): StartDriver {
  return (say, failed) => {
    const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const closed = Promise.withResolvers<void>();
    let said = '';
    let ending = false;
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => say(JSON.parse(line) as Line));
    child.stdin.on('error', () => undefined);
    child.on('error', failed);
    child.once('close', (code) => {
      closed.resolve();
      if (!ending) failed(new Error(`the driver ended with ${code}:\n${said}`));
    });
    return {
      send: (command) => child.stdin.write(`${JSON.stringify(command)}\n`),
      [Symbol.asyncDispose]: async () => {
        ending = true;
        child.stdin.end();
        try {
          await within(2_000, 'the end of a driver', closed.promise);
        } catch {
          child.kill('SIGKILL');
          await closed.promise;
        }
      },
    };
  };
}
