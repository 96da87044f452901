// `tailrace doctor`: looks at everything that Tailrace stands on, and at a running one, and says what to do.
import { createClient } from '@connectrpc/connect';
import type { Command } from 'commander';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { DOCTOR_LOOK_MS } from '../../chat/limits.ts';
import { clockFinding, counted, type Finding } from '../../main/doctor/doctor-finding.ts';
import { connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { toldOf } from '../outcome/failure.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { harmless, onOut, print, printJson, type Style } from '../terminal/terminal.ts';

const MARKS: Readonly<Record<Finding['state'], readonly [string, Style]>> = {
  ok: ['ok     ', 'green'],
  warning: ['warning', 'yellow'],
  wrong: ['wrong  ', 'red'],
  skipped: ['skipped', 'dim'],
};

export function doctorCommand(): Command {
  const made = command('doctor', 'look at what Tailrace stands on, and say what to do', [
    ['tailrace doctor', 'with the environment of the Tailrace that it is about'],
    ['TAILRACE_NATS_URL=nats://nats:4222 tailrace doctor', 'NATS, its streams and its clock too'],
    ['tailrace doctor --json | jq \'.findings[] | select(.state != "ok")\'', 'what is not right'],
  ]);
  return withConnection(withJson(made, 'print JSON')).action(
    ending<ConnectionOptions & JsonOption>(async (options) => {
      const { examine } = await import('../../main/doctor/doctor.ts');
      const findings = [...(await examine(process.env)), ...(await running(options))];
      const sound = findings.every(({ state }) => state === 'ok' || state === 'warning');
      if (options.json === true) printJson({ ok: sound, findings });
      else show(findings);
      return sound ? EXIT.ok : EXIT.failed;
    }),
  );
}

function show(findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ check }) => check.length));
  for (const { check, state, said, remedy } of findings) {
    const [mark, style] = MARKS[state];
    print(`${onOut(style, mark)}  ${harmless(check).padEnd(width)}  ${harmless(said)}`);
    if (remedy !== undefined) print(`${' '.repeat(9 + width + 2)}To do: ${harmless(remedy)}`);
  }
}

/** The Tailrace at the address, if one runs there: doctor is of use before the first start too. */
async function running(options: ConnectionOptions): Promise<Finding[]> {
  const check = 'server';
  const { address, client, transport } = connect(options);
  const startedMs = performance.now();
  let date: string | null = null;
  const call = {
    timeoutMs: DOCTOR_LOOK_MS,
    onHeader: (headers: Headers) => void (date = headers.get('date')),
  };
  try {
    const { status } = await createClient(Health, transport).check({ service: '' }, call);
    const ms = Math.round(performance.now() - startedMs);
    if (status !== Serving.SERVING) {
      const remedy = 'it is stopping, or NATS is away: look at the findings above and at its log.';
      return [{ check, state: 'wrong', said: `${address} is not serving`, remedy }];
    }
    const found: Finding[] = [
      { check, state: 'ok', said: `${address} serves, answers in ${ms} ms` },
    ];
    // To the second.
    if (date !== null) {
      const apart = Date.parse(date) - Date.now();
      found.push(
        clockFinding('clock', 'the clock of the server', Math.abs(apart) < 1_000 ? 0 : apart),
      );
    }
    const { models } = await client.listModels({}, { timeoutMs: DOCTOR_LOOK_MS });
    return [...found, { check, state: 'ok', said: `it offers ${counted(models.length, 'model')}` }];
  } catch (error) {
    const { what, todo, exit } = toldOf(error, address);
    // Nobody has to run one where the doctor is called, unless its address was given.
    const asked =
      process.env['TAILRACE_ADDRESS'] !== undefined || process.argv.includes('--address');
    const state = exit === EXIT.unreachable && !asked ? 'ok' : 'wrong';
    const remedy = todo === undefined ? {} : { remedy: todo };
    return [{ check, state, said: what, ...remedy }];
  }
}
