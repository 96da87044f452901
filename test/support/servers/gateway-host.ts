// Loaded into Portkey's gateway before it starts (gateway.ts). It bends nothing of what the gateway says:
// - it listens on every interface by itself; here it is on loopback, on a port that the system picks;
// - it writes into the headers of fetch's answers, which are immutable in the Nodes of today, and each call
//   would end as 500 "Something went wrong"; here it is given answers whose headers can be written.
import { type AddressInfo, type ListenOptions, Server } from 'node:net';

type Listen = (this: Server, options: ListenOptions) => Server;
const listen = Reflect.get(Server.prototype, 'listen') as Listen;
Server.prototype.listen = function listenOnLoopback(this: Server): Server {
  this.once('listening', () => process.send?.({ port: (this.address() as AddressInfo).port }));
  return listen.call(this, { host: '127.0.0.1', port: 0 });
};

const { fetch, Response, Headers } = globalThis;
globalThis.fetch = async (...call) => {
  const { body, status, statusText, headers } = await fetch(...call);
  return new Response(body, { status, statusText, headers: new Headers(headers) });
};

// It never outlives the test.
process.once('disconnect', () => process.exit(0));
