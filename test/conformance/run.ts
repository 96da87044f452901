// npm run conformance: the suites of the protocols that Tailrace speaks, each by its own authors.
import { connectConformance } from './connect/suite.ts';
import { mcpConformance } from './mcp.ts';

process.stdout.write('Model Context Protocol, as a client that calls tools:\n');
const mcp = await mcpConformance();
process.stdout.write('\nConnect, gRPC and gRPC-Web, on the one port:\n');
const connect = await connectConformance();
process.exitCode = mcp && connect ? 0 : 1;
