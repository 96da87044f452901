// Writes into package-lock.json the platform packages that npm left out because the registry that was asked had no such
// build (mirrors often keep only the platforms of their users). Without them `npm ci` refuses the lock file, on every
// platform. Their versions are exact in the package that wants them; only their hash is missing.
//
//   node scripts/complete-lock.mjs           completes the file (run it after npm install)
//   node scripts/complete-lock.mjs --check   only says what is missing, and exits with 1
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const FILE = path.join(import.meta.dirname, '..', 'package-lock.json');
const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony'];
const CPU = ['arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];

/** `os`, `cpu` and `libc` as a platform package's name tells them. */
function platformOf(name) {
  const words = name.split('/').at(-1).replaceAll('.', '-').split('-');
  const os = words.some((word) => /^win(32)?$/.test(word))
    ? 'win32'
    : words.includes('mac')
      ? 'darwin'
      : words.find((word) => OS.includes(word));
  const cpu = words.includes('aarch64')
    ? 'arm64'
    : words.some((word) => /^arm(v\d\w*)?$/.test(word))
      ? 'arm'
      : words.find((word) => CPU.includes(word));
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word.startsWith('gnu')) && os === 'linux'
      ? 'glibc'
      : undefined;
  return {
    ...(libc && { libc: [libc] }),
    ...(cpu && { cpu: [cpu] }),
    ...(os && { os: [os] }),
  };
}

function isThere(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === '') return false;
  }
}

const lock = JSON.parse(fs.readFileSync(FILE, 'utf8'));
const missing = {};
for (const [from, entry] of Object.entries(lock.packages)) {
  for (const [name, wanted] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isThere(lock.packages, from, name)) continue;
    const alias = /^npm:(.+)@([^@]+)$/.exec(wanted);
    const version = alias?.[2] ?? wanted;
    if (!/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) throw new Error(`${name}@${wanted} is not exact`);
    missing[`node_modules/${name}`] = {
      ...(alias && { name: alias[1] }),
      version,
      ...platformOf(alias?.[1] ?? name),
      ...(entry.dev && { dev: true }),
      optional: true,
    };
  }
}

const names = Object.keys(missing);
if (process.argv.includes('--check')) {
  if (names.length > 0) {
    console.error(`package-lock.json lacks ${names.join(', ')}`);
    console.error('npm ci would refuse it: run node scripts/complete-lock.mjs');
    process.exitCode = 1;
  }
} else if (names.length > 0) {
  const { '': root, ...rest } = { ...lock.packages, ...missing };
  const sorted = Object.entries(rest).toSorted(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = { '': root, ...Object.fromEntries(sorted) };
  fs.writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`package-lock.json: added ${names.join(', ')}`);
}
