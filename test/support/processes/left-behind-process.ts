// Waits for the end of the process that started it, and ends what that one has left (left-behind.ts).
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LeftBehind } from './left-behind.ts';

const ROUNDS = 50;
const BETWEEN_MS = 100;

let left: LeftBehind = { pids: [], folders: [] };
for await (const line of createInterface({ input: process.stdin })) {
  left = JSON.parse(line) as LeftBehind;
}
// Again until there is none: one that was just being started is not in the first list.
for (let round = 0; round < ROUNDS; round++) {
  const found = alive();
  if (found.length === 0) break;
  for (const pid of found) kill(pid);
  await sleep(BETWEEN_MS);
}
for (const folder of left.folders) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

interface Row {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly state: string;
  readonly command: string;
}

function alive(): readonly number[] {
  const rows = table();
  const found = new Set(rows.filter(isLeft).map(({ pid }) => pid));
  // A parent may stand behind its child.
  for (let before = 0; before !== found.size;) {
    before = found.size;
    for (const { pid, parent } of rows) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

function isLeft({ pid, group, command }: Row): boolean {
  if (left.pids.includes(pid) || left.pids.includes(group)) return true;
  return left.folders.some((folder) => command.includes(folder));
}

function table(): readonly Row[] {
  const columns = ['-o', 'pid=,ppid=,pgid=,stat=,args='];
  const text = execFileSync('ps', ['-A', '-ww', ...columns], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return text.split('\n').flatMap((line) => {
    const [, pid, parent, group, state = '', command = ''] =
      /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    // One that has ended, and that nobody has collected, is not alive.
    if (pid === undefined || state.startsWith('Z') || Number(pid) === process.pid) return [];
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), state, command }];
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
