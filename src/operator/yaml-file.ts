// YAML or JSON of the operator, read so that what is wrong has its place. What may stand in it is said
// elsewhere.
import {
  type Document,
  isCollection,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';

export type Path = readonly (string | number)[];

export type YamlFile =
  | {
      readonly ok: true;
      readonly content: unknown;
      readonly lineOf: (path: Path) => number;
      /** Whether the text at the path begins on the line after its key. */
      readonly isBlock: (path: Path) => boolean;
    }
  /** `place`: line, and column where one is known. */
  | { readonly ok: false; readonly place: string; readonly why: string };

/** Aliases may be followed so often: they could make a great deal of little. */
const MAX_ALIASES = 100;

export function readYaml(text: string): YamlFile {
  const lines = new LineCounter();
  // JSON is YAML.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    prettyErrors: false,
  });
  const refused = (at: number, why: string): YamlFile => {
    const { line, col } = lines.linePos(at);
    return { ok: false, place: `${line}:${col}`, why };
  };
  // The first alone: those behind it are mostly its echo.
  const error = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0];
  if (error !== undefined) return refused(error.pos[0], inWords(error));
  const lost = lostAlias(document);
  if (lost !== undefined) return refused(lost, 'nothing before it has the anchor of this alias');
  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    return { ok: false, place: '1', why: `its aliases make more than ${MAX_ALIASES} copies` };
  }
  return {
    ok: true,
    content,
    lineOf: (path) => lineOf(document, lines, path),
    isBlock: (path) => isBlock(document, path),
  };
}

function inWords({ code, message }: YAMLError): string {
  // Its own words are for who calls the library.
  return code === 'MULTIPLE_DOCS' ? 'the file has more than one document' : message;
}

function lostAlias(document: Document.Parsed): number | undefined {
  let found: number | undefined;
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      found = alias.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return found;
}

/** Of the nearest thing on the way to the path that stands in the file. */
function lineOf(document: Document.Parsed, lines: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const parent: unknown =
      length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    if (!isCollection(parent)) continue;
    const key = path[length - 1];
    for (const [i, item] of parent.items.entries()) {
      const node: unknown =
        typeof key === 'number' ? (i === key ? item : undefined) : keyNode(item, key);
      const start = startOf(node);
      if (start !== undefined) return lines.linePos(start).line;
    }
  }
  return 1;
}

function isBlock(document: Document.Parsed, path: Path): boolean {
  const node: unknown = document.getIn(path, true);
  return isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED');
}

function keyNode(pair: unknown, key: string | undefined): unknown {
  if (typeof pair !== 'object' || pair === null || !('key' in pair)) return undefined;
  return String(pair.key) === key ? pair.key : undefined;
}

function startOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  return Array.isArray(node.range) ? Number(node.range[0]) : undefined;
}
