// A machine whose power can be cut: nats-server alone in a virtual machine, with a disk of its own. Killing
// qemu takes the guest's page cache with it, as a power cut does; what the guest had flushed to its disk
// stays in the image. The disk itself is honest: it loses nothing that it was given.
//
// Needs qemu-system-x86_64, busybox (static), cpio, mke2fs and a folder with the unpacked kernel package
// (Debian: apt-get download linux-image-cloud-amd64's image package, dpkg -x).
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { endWithUs } from '../../support/processes/left-behind.ts';
import { natsServerProgram } from '../../support/processes/nats.ts';
import { until } from '../../support/until.ts';

export interface PowerMachine extends AsyncDisposable {
  readonly url: string;
  readonly powerOn: () => Promise<void>;
  readonly cutPower: () => Promise<void>;
}

const BOOT_MS = 90_000;
const MEMORY_MIB = 768;
const DISK = '2G';

/** In the order in which they need each other. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_ring',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
  'failover',
  'net_failover',
  'virtio_net',
];

/** Builds what the machine boots, once for all of them. */
export function buildBoot(kernelFolder: string, folder: string): { kernel: string; init: string } {
  const root = join(folder, 'root');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'mnt', 'mods']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  for (const file of globSync(join(kernelFolder, 'lib/modules/*/kernel/**/*.ko'))) {
    if (MODULES.includes(basename(file, '.ko'))) cpSync(file, join(root, 'mods', basename(file)));
  }
  const busybox = execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim();
  cpSync(busybox, join(root, 'bin/busybox'));
  cpSync(natsServerProgram(), join(root, 'bin/nats-server'));
  const init = join(root, 'init');
  writeFileSync(
    init,
    `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
cd /mods
for m in ${MODULES.join(' ')}; do [ -f $m.ko ] && /bin/busybox insmod $m.ko; done
/bin/busybox ifconfig lo 127.0.0.1 up
/bin/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
/bin/busybox mount -t ext4 /dev/vda /mnt
/bin/nats-server -c /mnt/nats.conf
/bin/busybox poweroff -f
`,
  );
  chmodSync(init, 0o755);
  const image = join(folder, 'init.img');
  execFileSync('sh', [
    '-c',
    `cd ${root} && find . | cpio -o -H newc 2>/dev/null | gzip -1 > ${image}`,
  ]);
  const [kernel] = globSync(join(kernelFolder, 'boot/vmlinuz-*'));
  if (kernel === undefined) throw new Error(`There is no boot/vmlinuz-* in ${kernelFolder}.`);
  return { kernel, init: image };
}

export function createPowerMachine(options: {
  readonly boot: { readonly kernel: string; readonly init: string };
  readonly folder: string;
  readonly name: string;
  readonly port: number;
  /** More ports, from the host's to the guest's. */
  readonly forwards?: readonly (readonly [number, number])[];
  readonly natsConfig: string;
}): PowerMachine {
  const { boot, folder, name, port, natsConfig, forwards = [] } = options;
  const seed = join(folder, `${name}-seed`);
  const disk = join(folder, `${name}.img`);
  mkdirSync(seed, { recursive: true });
  writeFileSync(join(seed, 'nats.conf'), natsConfig);
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', seed, disk, DISK]);
  const ports = [[port, 4222] as const, ...forwards].map(
    ([host, guest]) => `hostfwd=tcp:127.0.0.1:${host}-:${guest}`,
  );
  const log = join(folder, `${name}.log`);
  let machine: ChildProcess | undefined;
  const cutPower = async (): Promise<void> => {
    if (machine === undefined || machine.exitCode !== null || machine.signalCode !== null) return;
    const gone = once(machine, 'exit');
    machine.kill('SIGKILL');
    await gone;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    powerOn: async () => {
      machine = spawn(
        'qemu-system-x86_64',
        [
          ['-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', String(MEMORY_MIB), '-smp', '1'],
          ['-display', 'none', '-no-reboot', '-monitor', 'none', '-serial', `file:${log}`],
          ['-kernel', boot.kernel, '-initrd', boot.init],
          ['-append', 'console=ttyS0 edd=off panic=-1 quiet'],
          ['-drive', `file=${disk},format=raw,if=virtio,cache=writeback`],
          ['-netdev', `user,id=n,${ports.join(',')}`, '-device', 'virtio-net-pci,netdev=n'],
        ].flat(),
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
      machine.once('exit', endWithUs(machine.pid));
      await until(`${name} to boot (${log})`, () => answers(port), BOOT_MS);
    },
    cutPower,
    [Symbol.asyncDispose]: cutPower,
  };
}

/** qemu takes a connection before the guest does: only nats-server's greeting counts. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('data', (first: Buffer) => {
      resolve(first.toString().startsWith('INFO'));
      socket.destroy();
    });
  });
}
