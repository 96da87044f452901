// `tailrace serve`, `api` and `worker`: Tailrace itself, in this process, until SIGTERM or Ctrl-C. All of it is
// set by environment variables, since that is what operators' tools have.
import type { Command } from 'commander';
import { command, ending } from './run.ts';

const VARIABLES = `
Set by environment variables; README.md has them all, \`tailrace config check\` looks at them:
  TAILRACE_LISTEN        host:port, default 127.0.0.1:8080
  OPENAI_BASE_URL        your model server, for example http://127.0.0.1:8000/v1; default: a small embedded model
  TAILRACE_NATS_URL      your NATS with JetStream; default: an embedded one
  TAILRACE_DATA_DIR      where the embedded NATS keeps its store, default .tailrace
  TAILRACE_TOKENS_FILE   who may call; default: anyone on this machine
  TAILRACE_CACHE_DIR     where nats-server and the embedded model are kept once they were fetched`;

export function serveCommand(): Command {
  return command('serve', 'run Tailrace: the api and a worker', [
    ['tailrace serve', 'http://127.0.0.1:8080, with an embedded NATS and model'],
    ['OPENAI_BASE_URL=http://127.0.0.1:8000/v1 tailrace serve', 'vLLM, llama.cpp, Ollama, …'],
    ['TAILRACE_LISTEN=127.0.0.1:9000 tailrace serve', 'on another port'],
  ])
    .addHelpText('after', VARIABLES)
    .action(serving());
}

export function apiCommand(): Command {
  return command('api', 'run the api alone, beside workers elsewhere', [
    ['TAILRACE_NATS_URL=nats://nats:4222 tailrace api', 'as many as you like'],
  ])
    .addHelpText('after', VARIABLES)
    .action(serving('api'));
}

export function workerCommand(): Command {
  return command('worker', 'run a worker alone, beside apis elsewhere', [
    ['TAILRACE_NATS_URL=nats://nats:4222 tailrace worker', 'as many as you like'],
  ])
    .addHelpText('after', VARIABLES)
    .action(serving('worker'));
}

function serving(role?: 'api' | 'worker') {
  return ending(async () => {
    const { serve } = await import('../../main/serve.ts');
    return serve(role === undefined ? process.env : { ...process.env, TAILRACE_ROLES: role });
  });
}
