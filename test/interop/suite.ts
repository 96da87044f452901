// Runs scenarios with clients against one world, and tells what came of each.
import type { Candidate } from './clients.ts';
import { type Client, startClient } from './client.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { ERRORS, HELPED } from './scenarios/errors.ts';
import { LIFE } from './scenarios/life.ts';
import { NETWORK } from './scenarios/network.ts';
import type { World } from './world.ts';

export const SCENARIOS: readonly Scenario[] = [...LIFE, ...NETWORK, ...ERRORS, ...HELPED];

export type Verdict =
  | { readonly kind: 'pass'; readonly tookMs: number }
  | { readonly kind: 'fail'; readonly error: unknown }
  /** A client without a helper of ours promises nothing here. */
  | { readonly kind: 'not meant' };

export interface Report {
  /** By scenario. */
  readonly verdicts: Map<string, Verdict[]>;
  /** Milliseconds from each cut to the next event. */
  readonly resumes: number[];
}

export function emptyReport(): Report {
  return { verdicts: new Map<string, Verdict[]>(), resumes: [] };
}

export async function runClient(
  client: Client,
  candidate: Candidate,
  world: World,
  scenarios: readonly Scenario[],
  report: Report,
): Promise<void> {
  for (const scenario of scenarios) {
    const verdict = await runScenario(client, candidate, world, scenario, report);
    const verdicts = report.verdicts.get(scenario.name) ?? [];
    report.verdicts.set(scenario.name, [...verdicts, verdict]);
  }
}

async function runScenario(
  client: Client,
  candidate: Candidate,
  world: World,
  scenario: Scenario,
  report: Report,
): Promise<Verdict> {
  if (!suits(scenario, candidate)) return { kind: 'not meant' };
  const startMs = performance.now();
  try {
    await scenario.run({ client, world, resumed: (ms) => report.resumes.push(ms) });
    return { kind: 'pass', tookMs: performance.now() - startMs };
  } catch (error) {
    return { kind: 'fail', error };
  }
}

export function suits(scenario: Scenario, { helped }: Candidate): boolean {
  return helped || !HELPED.includes(scenario);
}

/** Its client, or why there is none. */
export async function openClient(candidate: Candidate): Promise<Client | { reason: string }> {
  const start = await candidate.prepare();
  return typeof start === 'function' ? startClient(start) : start;
}

export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
