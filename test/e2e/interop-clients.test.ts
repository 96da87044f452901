// The short form of `npm run interop`: one run of the shared scenarios, by the clients that need nothing to be set up and
// by those that were.
import { test } from 'node:test';
import { CANDIDATES } from '../interop/clients.ts';
import { startClient } from '../interop/client.ts';
import { SCENARIOS, suits } from '../interop/suite.ts';
import { startWorld } from '../interop/world.ts';
import { notInCi } from '../support/needs.ts';

test(
  'clients in every language see the same of the shared scenarios',
  { concurrency: true },
  async (t) => {
    await using world = await startWorld();
    const runs = CANDIDATES.map((candidate) => {
      const { name, there, prepare } = candidate;
      const skip =
        !there() && (notInCi() || `the client in ${name} is not made: npm run interop makes it`);
      return t.test(name, { skip }, async (t) => {
        const driver = await prepare();
        if (typeof driver !== 'function') throw new Error(driver.reason);
        await using client = startClient(driver);
        for (const scenario of SCENARIOS.filter((each) => suits(each, candidate))) {
          await t.test(scenario.name, () => scenario.run({ client, world, resumed: () => {} }));
        }
      });
    });
    await Promise.all(runs);
  },
);
