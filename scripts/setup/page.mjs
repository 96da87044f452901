// The page that the server shows at `/`: page/ and the client in it as one module, by esbuild, which takes 50 ms.
// Made anew when one of its sources or of the packages in it has changed.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { CACHE, exists, ROOT, SetupError } from './ground.mjs';

export const PAGE_CACHED = path.join(CACHE, 'page');
const STAMP = path.join(PAGE_CACHED, 'made-of');
const SOURCES = ['page', 'clients/typescript/src'];
const AS_THEY_ARE = ['index.html', 'page.css', 'icon.svg'];

/** Of all that the page is made of. */
function stamp() {
  const hash = createHash('sha256').update(fs.readFileSync(path.join(ROOT, 'package-lock.json')));
  hash.update(fs.readFileSync(path.join(ROOT, 'scripts/setup/page.mjs')));
  for (const folder of SOURCES) {
    const files = fs.readdirSync(path.join(ROOT, folder), { recursive: true });
    for (const name of files.map(String).toSorted()) {
      const file = path.join(ROOT, folder, name);
      if (fs.statSync(file).isFile()) hash.update(`\0${name}\0`).update(fs.readFileSync(file));
    }
  }
  return hash.digest('hex');
}

export function pageIsThere() {
  return exists(STAMP) && fs.readFileSync(STAMP, 'utf8') === stamp();
}

/** `folder`: it goes there whole, in the place of what was there. */
export async function makePage(folder = PAGE_CACHED) {
  const made = stamp();
  const aside = `${folder}.${process.pid}`;
  fs.rmSync(aside, { recursive: true, force: true });
  try {
    const { build } = await import('esbuild');
    await build({
      absWorkingDir: ROOT,
      entryPoints: ['page/page.ts'],
      outfile: path.join(aside, 'page.js'),
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      legalComments: 'none',
      logLevel: 'silent',
    });
  } catch (error) {
    throw new SetupError(`the page at / could not be made: ${error.message}`);
  }
  for (const name of AS_THEY_ARE) {
    fs.copyFileSync(path.join(ROOT, 'page', name), path.join(aside, name));
  }
  fs.writeFileSync(path.join(aside, 'made-of'), made);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.renameSync(aside, folder);
}
