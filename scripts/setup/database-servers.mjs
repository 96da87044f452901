// Real servers of databases for tests: Debian's packages of PostgreSQL and MariaDB. Only where every test is to run;
// the tests start servers of their own from them, and need none that runs as a service.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import { lastLines, run, say } from './ground.mjs';

function isThere(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function postgresIsThere() {
  const root = '/usr/lib/postgresql';
  const versions = fs.existsSync(root) ? fs.readdirSync(root) : [];
  return isThere('postgres') || versions.some((each) => isThere(`${root}/${each}/bin/postgres`));
}

function missingPackages() {
  const missing = [];
  if (!postgresIsThere()) missing.push('postgresql');
  if (!isThere('mariadbd') && !isThere('/usr/sbin/mariadbd')) missing.push('mariadb-server');
  return missing;
}

export function databaseServersAreThere() {
  return missingPackages().length === 0;
}

/** Says so where they cannot be had: their tests skip then, and a skip is a failure where every test is to run. */
export async function installDatabaseServers() {
  const packages = missingPackages();
  const root = process.getuid?.() === 0;
  if (!isThere('apt-get') || !root) {
    say(
      `WARNING: ${packages.join(' and ')} must be installed by hand: that takes root and apt-get`,
    );
    return;
  }
  say(`${packages.join(' and ')}: installing by apt-get (about a minute) …`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const wait = ['-o', 'DPkg::Lock::Timeout=300'];
  await run('apt-get', [...wait, 'update'], { env, label: 'apt-get update' });
  const { ok, output } = await run(
    'apt-get',
    [...wait, 'install', '--yes', '--no-install-recommends', ...packages],
    { env, label: packages.join(', ') },
  );
  if (!ok) say(`WARNING: ${packages.join(' and ')} could not be had:\n    ${lastLines(output)}`);
}
