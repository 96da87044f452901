// The test model server as a process of its own: prints its address as one line of JSON and ends
// when its stdin closes, so that it never outlives whoever started it.
import { parseArgs } from 'node:util';
import { startModelServer } from './model-server.ts';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const server = await startModelServer({ port: Number(values.port), keptRequests: 1 });
console.log(JSON.stringify({ url: server.url, pid: process.pid }));
process.stdin.resume();
process.stdin.once('close', () => process.exit(0));
