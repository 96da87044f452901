// The table of docs/DIALECTS.md, made of what the client is held to.
import { DIALECTS } from '../../src/model/dialects/dialects.ts';
import { EXPECTED, type Expected, type Source } from './dialect-sources.ts';

export function dialectsDocument(): string {
  return DIALECTS.map((dialect) => {
    const rows = Object.entries(EXPECTED[dialect]).map(
      ([name, expected]) =>
        `| ${name} | ${sentOf(expected)}${expected.verified ? '' : ' · *unverified*'} | ${placeOf(expected.source)} |`,
    );
    const { repository, at } = EXPECTED[dialect].seed.source;
    const where = at === '' ? repository : `${repository} at ${at}`;
    return [
      `## ${dialect}`,
      '',
      `Source: ${where}.`,
      '',
      '| request | body | where it stands |',
      '|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  }).join('\n');
}

function sentOf({ body, warnings, refused }: Expected): string {
  if (refused !== undefined) return `refused: \`${refused}\``;
  const sent = Object.entries(body).map(
    ([key, value]) => `\`${JSON.stringify({ [key]: value })}\``,
  );
  const parts = warnings.length === 0 ? sent : [...sent, 'warning'];
  return parts.length === 0 ? 'nothing' : parts.join(' ');
}

function placeOf({ path, line }: Source): string {
  return line === undefined ? path : `${path}:${line}`;
}
