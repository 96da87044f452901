// What a command reads besides its flags: files and stdin, bounded, and JSON or YAML in them. What it may say
// is the server's to judge; here is only whether it can be read.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { CLI_INPUT_BYTES } from '../../chat/limits.ts';
import { readYaml } from '../../operator/yaml-file.ts';
import { usageFailure } from '../outcome/failure.ts';

/** `name`: a file, or - for stdin. */
export async function readInput(name: string): Promise<Buffer> {
  if (name === '-') return readStdin();
  try {
    await using file = await open(name);
    return await bounded(file.createReadStream({ autoClose: false }), name);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause) {
      throw usageFailure(`${name} cannot be read: ${whyNot(cause)}.`);
    }
    throw cause;
  }
}

const WHY_NOT: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['EISDIR', 'it is a folder'],
  ['EACCES', 'this user may not read it'],
]);

function whyNot({ message, code }: Error & { readonly code: unknown }): string {
  return WHY_NOT.get(code) ?? message;
}

function readStdin(): Promise<Buffer> {
  return bounded(process.stdin, 'stdin');
}

/**
 * The words, and what is piped in after them. Beside words only a pipe or a file is read: what else stdin may be
 * under another program perhaps never ends.
 */
export async function saidText(words: readonly string[]): Promise<string | undefined> {
  const said = words.join(' ').trim();
  const piped = !process.stdin.isTTY && (said === '' || isPipeOrFile());
  const read = piped ? textOf(await readStdin(), 'stdin').trim() : '';
  const text = [said, read].filter((part) => part !== '').join('\n\n');
  return text === '' ? undefined : text;
}

function isPipeOrFile(): boolean {
  try {
    const stat = fstatSync(process.stdin.fd);
    return stat.isFIFO() || stat.isFile();
  } catch {
    // It was closed.
    return false;
  }
}

async function bounded(stream: AsyncIterable<Buffer>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > CLI_INPUT_BYTES) {
      throw usageFailure(
        `${name} has more than ${CLI_INPUT_BYTES} bytes, and no request may.`,
        'give what is large as a document or image by its url.',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Bytes that are none would go to the model as replacement characters, and nobody would know. */
function textOf(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw usageFailure(
      `${name} is no text in UTF-8.`,
      'give other bytes with --document or --image.',
    );
  }
}

export async function readText(name: string): Promise<string> {
  return textOf(await readInput(name), name);
}

/** YAML has .nan and .inf, which JSON would leave out, and may hold itself. */
function checkJson(
  value: JsonValue,
  path: string,
  name: string,
  above: readonly JsonValue[],
): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw usageFailure(`${name}: ${path} is ${value}, which JSON has not.`);
  }
  if (typeof value !== 'object' || value === null) return;
  if (above.includes(value)) throw usageFailure(`${name}: ${path} holds itself.`);
  for (const [key, each] of Object.entries(value)) {
    const at = Array.isArray(value) ? `[${key}]` : path === '' ? key : `.${key}`;
    checkJson(each, `${path}${at}`, name, [...above, value]);
  }
}

/** An object in JSON or YAML. */
export async function readObject(name: string, holds: string): Promise<JsonObject> {
  const called = name === '-' ? 'stdin' : name;
  const text = textOf(await readInput(name), called);
  const value = /^\s*[{[]/.test(text) ? parseJson(text, called) : parseYaml(text, called);
  checkJson(value, '', called, []);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw usageFailure(`${called} must hold ${holds}, as JSON or YAML.`);
}

function parseJson(text: string, name: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    // Perhaps YAML in its braces.
    const parsed = readYaml(text);
    if (parsed.ok) return parsed.content as JsonValue;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw usageFailure(`${name} is no JSON: ${why}.`);
  }
}

function parseYaml(text: string, name: string): JsonValue {
  const parsed = readYaml(text);
  if (parsed.ok) return parsed.content as JsonValue;
  throw usageFailure(`${name} is no YAML: line ${parsed.place}: ${parsed.why}.`);
}
