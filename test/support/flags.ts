// The flags of the scripts that `npm run` starts: --help says how they are used, and so does a flag that there is not.
import { parseArgs, type ParseArgsConfig } from 'node:util';

export function flags<const T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  if (process.argv.includes('--help')) {
    console.log(`usage: ${usage}`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    wrongUsage(usage, error instanceof Error ? error.message : String(error));
  }
}

export function wrongUsage(usage: string, ...why: readonly string[]): never {
  for (const line of why) console.error(line);
  console.error(`usage: ${usage}`);
  process.exit(2);
}
