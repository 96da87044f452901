// `npm run token -- <tenant>`: makes a token, prints it once, and adds its line to the tokens file
// if TAILRACE_TOKENS_FILE names one.
import { open } from 'node:fs/promises';
import process from 'node:process';
import { makeToken, TENANT_PATTERN } from '../rpc/auth.ts';

const [tenant, ...rest] = process.argv.slice(2);
if (tenant === undefined || rest.length > 0 || !TENANT_PATTERN.test(tenant)) {
  console.error('usage: npm run token -- <tenant>   (1 to 63 characters of a–z, 0–9 and -)');
  process.exit(2);
}

const { token, line } = makeToken(tenant);
const file = process.env['TAILRACE_TOKENS_FILE'];
if (file !== undefined && file !== '') await append(file, line);
console.log(`token for ${tenant}, shown only now: ${token}`);
console.log(
  file ? `added to ${file}: ${line}` : `the line for the file in TAILRACE_TOKENS_FILE: ${line}`,
);

async function append(name: string, added: string): Promise<void> {
  await using handle = await open(name, 'a+', 0o600);
  const { size } = await handle.stat();
  const last = size > 0 ? (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer : undefined;
  const gap = last && last.toString() !== '\n' ? '\n' : '';
  await handle.appendFile(`${gap}${added}\n`);
}
