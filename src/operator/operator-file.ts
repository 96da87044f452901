// A file of the operator's, YAML or JSON, held against its schema. An error names the line, the path and what
// would be right. What may stand in which file is said where it is used.
import type { z } from 'zod';
import { MAX_OPERATOR_FILE_BYTES } from '../chat/limits.ts';
import { type Path, readYaml } from './yaml-file.ts';

/** Something that is wrong in the file. */
export interface Fault {
  readonly path: Path;
  readonly wanted: string;
  /** Lines below the path's own, in a text of several lines. */
  readonly below?: number;
}

/** What the file says is wrong: a line for each fault. */
export class OperatorFileError extends Error {
  constructor(fileName: string, faults: readonly string[]) {
    super(faults.map((fault) => `${fileName}:${fault}`).join('\n'));
    this.name = 'OperatorFileError';
  }
}

/** `across`: what only fails together. Throws an OperatorFileError that names every fault. */
export function readOperatorFile<S extends z.ZodType>(
  fileName: string,
  text: string,
  schema: S,
  across: (read: z.output<S>) => readonly Fault[],
): z.output<S> {
  if (Buffer.byteLength(text) > MAX_OPERATOR_FILE_BYTES) {
    throw new OperatorFileError(fileName, [`1: is larger than ${MAX_OPERATOR_FILE_BYTES} bytes`]);
  }
  const file = readYaml(text);
  if (!file.ok) throw new OperatorFileError(fileName, [`${file.place}: is no YAML: ${file.why}`]);
  const parsed = schema.safeParse(file.content, {
    // Else what is of a wrong type looks as if it were not there.
    reportInput: true,
  });
  const faults = parsed.success ? across(parsed.data) : parsed.error.issues.flatMap(faultsOf);
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new OperatorFileError(
    fileName,
    faults.map(({ path, wanted, below = 0 }) => {
      const where = path.length === 0 ? 'the file' : pathText(path);
      const line = file.lineOf(path) + (file.isBlock(path) ? below : 0);
      return `${line}: ${where} ${wanted}`;
    }),
  );
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], wanted: 'is not a setting here' }));
  }
  if (issue.code === 'invalid_value') {
    return [{ path, wanted: `must be one of ${issue.values.map(String).join(', ')}` }];
  }
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    return [{ path, wanted: 'is missing' }];
  }
  return [{ path, wanted: `must be ${wantedBy(issue)}` }];
}

function wantedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `at most ${issue.maximum}`
        : `no longer than ${issue.maximum}`;
    case 'too_small': {
      // zod's own words would name its types; ours stand where a rule has words of its own.
      if (!issue.message.startsWith('Too small')) return issue.message;
      const least = issue.inclusive === false ? 'above' : 'at least';
      return issue.origin === 'number' || issue.origin === 'int'
        ? `${least} ${issue.minimum}`
        : `no shorter than ${issue.minimum}`;
    }
    case 'invalid_type':
      return issue.message.startsWith('Invalid input')
        ? `of type ${issue.expected}`
        : issue.message;
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${part}`;
  }
  return text;
}
