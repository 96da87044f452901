// Calls of tools are not made for nothing: what the counting tools saw, held against the results in the log.
import type { ChatHistory } from './chat-history.ts';
import { toolAnswersOf } from './chat-log.ts';
import { resultOfRun } from './counting-tools.ts';
import type { History } from './history.ts';
import { stoodStill } from './stood-still.ts';
import type { Say } from './violation.ts';

/** The clocks of two processes. */
const CLOCKS_MS = 5;

export function checkTools(chat: ChatHistory, faults: History['faults'], say: Say): void {
  const answers = toolAnswersOf(chat.log);
  for (const [call, runs] of Map.groupBy(chat.toolRuns, (run) => run.call)) {
    if (runs.length > 1 && runs.some(({ once }) => once)) {
      say('tool-run-repeated', `${call}, which must not be repeated, ran ${runs.length} times`);
    }
    const answer = answers.get(call);
    if (answer === undefined) continue;
    for (const { beganMs } of runs) {
      const lateMs = beganMs - answer.storedMs;
      if (lateMs <= CLOCKS_MS) continue;
      const mine = (worker: string): boolean => chat.taken.some((claim) => claim.worker === worker);
      // What it was about to call when it stood still it calls (law 8).
      if (stoodStill(faults, mine, answer.storedMs, beganMs)) continue;
      say('tool-run-after-result', `${call} ran ${Math.round(lateMs)} ms after its result`);
    }
  }
  for (const [call, { text, isError, counted }] of answers) {
    if (!counted || isError) continue;
    const runs = chat.toolRuns.filter((run) => run.call === call);
    if (runs.some(({ run }) => text === resultOfRun(run))) continue;
    say('tool-result-without-run', `${call} has the result "${text}" and ${runs.length} runs`);
  }
}
