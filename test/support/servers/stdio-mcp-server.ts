// An MCP server over standard input and output that is run as the operator's program, written by hand: it does what
// its tool's name says, and what its environment says of how it ends.
//   KEPT      a file that it writes its process id into, and that of a child of its own, once it is asked for anything
//   STUBBORN  it heeds neither the end of its input nor SIGTERM, nor does its child
//   OLDER     it ends where anything is asked before it is initialized
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { KEPT = '', STUBBORN = '', OLDER = '' } = process.env;
const TOOLS = ['env', 'die', 'wait', 'leak', 'progress', 'chatter'];

process.stderr.write(`started with ${process.argv.slice(2).join(' ')}\n`);
if (STUBBORN !== '') process.on('SIGTERM', () => undefined);
if (KEPT !== '') {
  const child = spawn('/bin/sh', ['-c', "trap '' TERM; while :; do sleep 1; done"], {
    stdio: 'ignore',
  });
  appendFileSync(KEPT, `${process.pid}\n${child.pid}\n`);
}

interface Message {
  readonly id?: unknown;
  readonly method: string;
  readonly params?: {
    readonly name?: string;
    readonly _meta?: { readonly progressToken?: unknown };
  };
}

const send = (message: object): void => {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
};
const answer = (id: unknown, text: string): void => {
  send({ id, result: { content: [{ type: 'text', text }] } });
};

function call(id: unknown, { name, _meta }: NonNullable<Message['params']>): void {
  switch (name) {
    case 'env':
      return answer(id, JSON.stringify({ env: process.env, cwd: process.cwd() }));
    case 'die':
      process.exit(3);
      break;
    case 'wait':
      if (KEPT !== '') appendFileSync(KEPT, 'called\n');
      return undefined;
    case 'leak':
      return answer(id, `the key is ${process.env['KEY']}`);
    case 'chatter':
      // Over the bound of a line within its secret.
      process.stderr.write(`${'x'.repeat(1_990)}${process.env['KEY']}\n`);
      process.stderr.write('x'.repeat(1_000_000));
      for (let i = 0; i < 10_000; i++) process.stderr.write(`line ${i} ${process.env['KEY']}\n`);
      return answer(id, 'said');
    case 'progress': {
      const { progressToken } = _meta ?? {};
      for (let i = 1; i <= 1_000; i++) {
        const params = { progressToken, progress: i, total: 1_000, message: `step ${i}` };
        send({ method: 'notifications/progress', params });
      }
      return answer(id, 'done');
    }
    default:
      return send({ id, error: { code: -32602, message: 'no such tool' } });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, method, params = {} } = JSON.parse(line) as Message;
    if (method === 'initialize') {
      const serverInfo = { name: 'by-hand', version: '1' };
      const capabilities = { tools: {} };
      send({ id, result: { protocolVersion: '2025-06-18', capabilities, serverInfo } });
    } else if (method === 'tools/list') {
      const inputSchema = { type: 'object' };
      send({ id, result: { tools: TOOLS.map((name) => ({ name, inputSchema })) } });
    } else if (method === 'tools/call') call(id, params);
    else if (id !== undefined) {
      if (OLDER !== '') process.exit(1);
      send({ id, error: { code: -32601, message: 'no such method' } });
    }
  })
  .on('close', () => {
    // What it has said until then is to be read.
    if (STUBBORN === '') process.stderr.write('', () => process.exit());
    // A process without anything to wait for would end.
    setInterval(() => undefined, 1_000);
  });
