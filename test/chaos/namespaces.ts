// A network of the kernel's own for each process of a cluster: namespaces that hang on one bridge, and are
// cut from each other by routes that lead nowhere. All of it lies in the namespaces of the process that
// runs this (see `inNamespaces`), and is gone with it, however it dies.
import { execFileSync, spawnSync } from 'node:child_process';
import type { Network, Site } from './network.ts';

const BRIDGE = 'bridge0';
const address = (n: number): string => `10.77.0.${n}`;
/** Of this process itself: clients and the model server. */
const OWN_HOST = address(254);

/**
 * The command line that runs a program in networks, mounts and processes of its own: when it ends, the
 * kernel ends all that it started. Undefined where this machine, or this user, may not do that.
 */
export function inNamespaces(
  command: string,
  args: readonly string[],
): readonly [string, ...string[]] | undefined {
  const own = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const tried = spawnSync('unshare', [...own, 'sh', '-c', TRY], { stdio: 'ignore' });
  return tried.status === 0 ? ['unshare', ...own, command, ...args] : undefined;
}

/** What a network of namespaces needs of the machine. */
const TRY = [
  'mount -t tmpfs none /run',
  'ip link add bridge0 type bridge',
  'ip netns add a',
  'ip link add v type veth peer name eth0 netns a',
  'ip netns exec a ip route add blackhole 10.1.1.1/32',
].join(' && ');

export function namespaces(): Network {
  // For the names of namespaces, and nobody's but ours.
  run('mount', '-t', 'tmpfs', 'none', '/run');
  run('ip', 'link', 'set', 'lo', 'up');
  run('ip', 'link', 'add', BRIDGE, 'type', 'bridge');
  run('ip', 'addr', 'add', `${OWN_HOST}/24`, 'dev', BRIDGE);
  run('ip', 'link', 'set', BRIDGE, 'up');
  const hosts = new Map<string, string>();

  function site(name: string): Site {
    const host = hosts.get(name) ?? join(name);
    return { host, within: (command, args) => ['ip', 'netns', 'exec', name, command, ...args] };
  }

  function join(name: string): string {
    const host = address(hosts.size + 1);
    hosts.set(name, host);
    run('ip', 'netns', 'add', name);
    const link = `v-${name}`;
    run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    run('ip', 'link', 'set', link, 'master', BRIDGE, 'up');
    const at = (...args: string[]): void => run('ip', '-n', name, ...args);
    at('link', 'set', 'lo', 'up');
    at('addr', 'add', `${host}/24`, 'dev', 'eth0');
    at('link', 'set', 'eth0', 'up');
    return host;
  }

  const routes = (change: 'add' | 'del', one: string, other: string): void => {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      run('ip', '-n', from, 'route', change, 'blackhole', `${site(to).host}/32`);
    }
  };
  let ports = 4_000;
  return {
    own: { host: OWN_HOST, within: (command, args) => [command, ...args] },
    site,
    freePorts: (count) => Promise.resolve(Array.from({ length: count }, () => ports++)),
    reach: (_, to, port) => Promise.resolve(`${site(to).host}:${port}`),
    cut: (one, other) => routes('add', one, other),
    mend: (one, other) => routes('del', one, other),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
