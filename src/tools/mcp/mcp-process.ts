// An MCP server that is a program of the operator's, spoken to over its standard input and output. It lives as long
// as its session and no longer, whatever it does and however this process ends: it is the first of a process group,
// and in that group waits a shell which kills it all as soon as the life line breaks that this process holds.
// The library's own transport ends the program alone, after up to 4 s, and not where this process is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  type JSONRPCMessage,
  ReadBuffer,
  serializeMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import {
  MAX_MCP_ANSWER_BYTES,
  MAX_MCP_LOG_LINE_CHARS,
  MAX_MCP_LOG_LINES,
  MCP_MESSAGES_AT_ONCE,
  MCP_PROCESS_END_MS,
} from '../../chat/limits.ts';
import { McpFailure } from './mcp-failure.ts';
import type { McpProgram } from './own-servers.ts';

/** The watcher has the group's id, so that no other group can have it while it waits; TERM is for the others. */
const WATCHED = `(trap '' TERM HUP; read -r _ <&3; kill -KILL 0) </dev/null >/dev/null 2>&1 &
exec "$@" 3<&-`;

export interface ProcessTransport extends Transport {
  /** By these the library knows that the other side is a process. */
  readonly pid: number | undefined;
  readonly stderr: null;
  /** How it ended of its own accord, in words that go on after "it"; undefined: it has not. */
  readonly ended: () => string | undefined;
  /** Resolves when it has ended. */
  readonly gone: Promise<void>;
}

/** A line of what a program says on its standard error; whether it was cut at its bound. */
export type OnLine = (line: string, isCut: boolean) => void;

/** `onLine`: hears what the program says on its standard error, within a bound. */
export function processTransport(program: McpProgram, onLine: OnLine): ProcessTransport {
  const buffer = new ReadBuffer({ maxBufferSize: MAX_MCP_ANSWER_BYTES });
  const gone = Promise.withResolvers<void>();
  let child: ChildProcess | undefined;
  let ended: string | undefined;
  let closing = false;
  let over = false;
  /** Nothing more comes of it. */
  let isClosed = false;
  let later: NodeJS.Immediate | undefined;

  const cutLifeLine = (): void => void child?.stdio[3]?.destroy();

  const end = (how: string | undefined): void => {
    if (over) return;
    over = true;
    ended ??= how;
    // What it has started and left behind.
    cutLifeLine();
    gone.resolve();
    transport.onclose?.();
  };

  const take = (chunk: Buffer): void => {
    try {
      buffer.append(chunk);
    } catch {
      end(`answered with more than ${MAX_MCP_ANSWER_BYTES} bytes`);
      return;
    }
    if (later === undefined) read();
  };

  /** What more there is in the buffer waits for the next turn of the event loop, and the program meanwhile. */
  const read = (): void => {
    later = undefined;
    if (over) return;
    for (let left = MCP_MESSAGES_AT_ONCE; left > 0; left--) {
      try {
        const message = buffer.readMessage();
        if (message === null) {
          if (isClosed) end(undefined);
          else child?.stdout?.resume();
          return;
        }
        transport.onmessage?.(message);
      } catch {
        // A line of JSON that is no message: nobody asked for it.
      }
    }
    child?.stdout?.pause();
    later = setImmediate(read);
  };

  const signal = (name: NodeJS.Signals): void => {
    // Once its first process has ended, the watcher ends the group, and its id may be given to another.
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, name);
    } catch {
      // The whole group is gone.
    }
  };

  const goneWithin = (ms: number): Promise<boolean> => {
    const { promise: late, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(() => resolve(false), ms);
    return Promise.race([gone.promise.then(() => true), late]).finally(() => clearTimeout(timer));
  };

  const transport: ProcessTransport = {
    get pid() {
      return child?.pid;
    },
    stderr: null,
    ended: () => ended,
    gone: gone.promise,
    start: () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const started = spawn('/bin/sh', ['-c', WATCHED, 'sh', program.command, ...program.args], {
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
        env: program.env,
        ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
      });
      child = started;
      // A broken pipe is told by the end of the process.
      for (const stream of started.stdio) stream?.on('error', () => undefined);
      started.stdout.on('data', take);
      listen(started.stderr, onLine);
      started.once('spawn', resolve);
      started.once('error', (cause: NodeJS.ErrnoException) => {
        const failure = new McpFailure(notStarted(cause, program), { cause });
        end(failure.message);
        reject(failure);
      });
      started.once('exit', (code, name) => {
        if (!closing) ended ??= howEnded(code, name);
        cutLifeLine();
        // Its output may be held by what it has left outside its group, for as long as that likes.
        setTimeout(() => {
          end(undefined);
          for (const stream of started.stdio) stream?.destroy();
        }, MCP_PROCESS_END_MS).unref();
      });
      started.once('close', () => {
        isClosed = true;
        // What it said last is read before that.
        if (later === undefined) end(undefined);
      });
      return promise;
    },
    send: async (message: JSONRPCMessage) => {
      const stdin = child?.stdin;
      if (ended !== undefined || !stdin?.writable) throw new McpFailure(ended ?? 'has ended');
      const { promise, resolve } = Promise.withResolvers<Error | null | undefined>();
      stdin.write(serializeMessage(message), resolve);
      const cause = await promise;
      if (!cause) return;
      // How it ended is known in a moment.
      await goneWithin(MCP_PROCESS_END_MS);
      throw new McpFailure(ended ?? 'has ended', { cause });
    },
    // As the protocol has it: its input ends, it is told to end, it is killed.
    close: async () => {
      closing = true;
      if (child?.pid === undefined) return;
      child.stdin?.end();
      if (!(await goneWithin(MCP_PROCESS_END_MS))) {
        signal('SIGTERM');
        await goneWithin(MCP_PROCESS_END_MS);
      }
      signal('SIGKILL');
      cutLifeLine();
      for (const stream of child.stdio) stream?.destroy();
      end(undefined);
    },
  };
  return transport;
}

/** What is started is a shell, which is there: what may be missing is where it is to begin. */
function notStarted({ code = '' }: NodeJS.ErrnoException, { cwd }: McpProgram): string {
  return cwd !== undefined && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(code)
    ? 'could not be started: its cwd is no folder that can be used here'
    : 'could not be started';
}

const CANNOT_BE_RUN = 126;
const NOT_FOUND = 127;

function howEnded(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === NOT_FOUND) return 'could not be started: its command is not found';
  if (code === CANNOT_BE_RUN) return 'could not be started: its command cannot be run';
  return code === null ? `has ended by ${signal}` : `has ended with exit code ${code}`;
}

/** Lines of any length, without end, cost no more than their bound. */
function listen(stream: NodeJS.ReadableStream, onLine: OnLine): void {
  const decoder = new TextDecoder();
  let rest = '';
  let lines = 0;
  const say = (line: string): void => {
    if (lines >= MAX_MCP_LOG_LINES || line === '') return;
    if (++lines === MAX_MCP_LOG_LINES)
      return onLine('[What it says from here on is left out.]', false);
    const isCut = line.length > MAX_MCP_LOG_LINE_CHARS;
    onLine(isCut ? line.slice(0, MAX_MCP_LOG_LINE_CHARS) : line, isCut);
  };
  stream.on('data', (chunk: Buffer) => {
    if (lines >= MAX_MCP_LOG_LINES) return;
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    // One more, so that it is seen to be cut.
    rest = (parts.pop() ?? '').slice(0, MAX_MCP_LOG_LINE_CHARS + 1);
    for (const part of parts) say(part.trimEnd());
  });
  stream.on('end', () => say(rest));
}
