// Two set-ups of the same folder take turns; one that was killed is noticed and its place is taken.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { CACHE, say } from './ground.mjs';

const LOCK_FILE = path.join(CACHE, 'setup.lock');
const LOCK_STALE_MS = 60_000;

function readLock() {
  try {
    return { text: fs.readFileSync(LOCK_FILE, 'utf8'), atMs: fs.statSync(LOCK_FILE).mtimeMs };
  } catch {
    return undefined;
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Holds .cache/setup.lock while `work` runs; waits for another set-up and takes over from a dead one. */
export async function oneAtATime(work) {
  fs.mkdirSync(CACHE, { recursive: true });
  const mine = `${process.pid} ${randomBytes(8).toString('hex')}\n`;
  let told = false;
  for (;;) {
    try {
      fs.writeFileSync(LOCK_FILE, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const lock = readLock();
    if (lock === undefined) continue;
    const pid = Number.parseInt(lock.text, 10);
    const ageMs = Date.now() - lock.atMs;
    // A lock without a number was caught between its creation and its first byte: that one is young.
    const dead = Number.isNaN(pid) ? ageMs > 5_000 : !alive(pid) || ageMs > LOCK_STALE_MS;
    if (dead) {
      const aside = `${LOCK_FILE}.${randomBytes(4).toString('hex')}`;
      try {
        fs.renameSync(LOCK_FILE, aside);
        // Somebody else took over in between: that lock is put back.
        if (fs.readFileSync(aside, 'utf8') !== lock.text) fs.linkSync(aside, LOCK_FILE);
      } catch {
        // Somebody else was faster.
      }
      fs.rmSync(aside, { force: true });
      continue;
    }
    if (!told) say(`another set-up (process ${pid}) is at work here; waiting for it`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const sign = setInterval(() => {
    try {
      fs.utimesSync(LOCK_FILE, new Date(), new Date());
    } catch {
      // Taken over; every step is still safe to do twice.
    }
  }, 2_000);
  const release = () => {
    clearInterval(sign);
    if (readLock()?.text === mine) fs.rmSync(LOCK_FILE, { force: true });
  };
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}
