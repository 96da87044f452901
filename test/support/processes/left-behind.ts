// What a test process starts is gone when it is, however it ends: also by Ctrl-C and by kill -9, of which it hears nothing.
// So a process of its own holds the other end of a pipe and ends what is left when that breaks
// (left-behind-process.ts). It is started with the first thing that there is to end.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

/** As it stands; each line to the process is all of it. */
export interface LeftBehind {
  /** With all below them, and all of their process groups. */
  readonly pids: readonly number[];
  /** What names one of them in its command line is ended too, such as a nats-server whose parent is gone. */
  readonly folders: readonly string[];
}

const PIDS = new Set<number>();
const FOLDERS = new Set<string>();
let watcher: ChildProcessByStdio<Writable, null, null> | undefined;

/** Answers with what is to be called when it has ended. */
export function endWithUs(pid: number | undefined): () => void {
  if (pid === undefined) return () => undefined;
  PIDS.add(pid);
  tell();
  return () => {
    PIDS.delete(pid);
    tell();
  };
}

/** Of this process alone, and removed with it. Answers with what is to be called when it is gone. */
export function removeWithUs(folder: string): () => void {
  FOLDERS.add(folder);
  if (watcher !== undefined) tell();
  return () => {
    FOLDERS.delete(folder);
    if (watcher !== undefined) tell();
  };
}

/** There is a process now that works in one of the folders. */
export function watchFolders(): void {
  tell();
}

function tell(): void {
  watcher ??= start();
  const all: LeftBehind = { pids: [...PIDS], folders: [...FOLDERS] };
  watcher.stdin.write(`${JSON.stringify(all)}\n`);
}

function start(): ChildProcessByStdio<Writable, null, null> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'left-behind-process.ts')], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // A session of its own: Ctrl-C is not for it.
    detached: true,
    env: { PATH: process.env['PATH'] },
  });
  child.stdin.on('error', () => undefined);
  // It keeps nothing alive here.
  child.unref();
  (child.stdin as Socket).unref();
  return child;
}
