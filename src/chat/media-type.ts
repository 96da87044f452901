// What a media type says, and what bytes are by how they begin.

export interface MediaType {
  /** Lower case, without parameters. */
  readonly name: string;
  /** As given; undefined: none. */
  readonly charset: string | undefined;
}

/** Undefined where the text is no media type. */
export function parseMediaType(text: string): MediaType | undefined {
  const [name = '', ...parameters] = text.split(';').map((part) => part.trim());
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(name)) return undefined;
  const charset = parameters
    .map((parameter) => /^charset="?([^"]+)"?$/i.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  return { name: name.toLowerCase(), charset };
}

/** The kinds of images that model servers take. */
export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'] as const;
export type ImageType = (typeof IMAGE_TYPES)[number];

export function imageTypeOf(bytes: Uint8Array): ImageType | undefined {
  if (begins(bytes, '\x89PNG\r\n\x1a\n')) return 'image/png';
  if (begins(bytes, '\xff\xd8\xff')) return 'image/jpeg';
  if (begins(bytes, 'GIF87a') || begins(bytes, 'GIF89a')) return 'image/gif';
  if (begins(bytes, 'RIFF') && begins(bytes.subarray(8), 'WEBP')) return 'image/webp';
  return undefined;
}

/** How a document is turned to text. */
export type DocumentKind = 'pdf' | 'docx' | 'html' | 'text';

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

const DOCUMENT_KINDS: ReadonlyMap<string, DocumentKind> = new Map([
  ['application/pdf', 'pdf'],
  [DOCX, 'docx'],
  ['text/html', 'html'],
  ['application/xhtml+xml', 'html'],
  ['application/json', 'text'],
  ['application/xml', 'text'],
  ['application/yaml', 'text'],
]);

export const DOCUMENT_TYPES = `application/pdf, ${DOCX} (DOCX), text/html, text/markdown, text/csv, text/plain and any other text`;

export function documentKindOf(mediaType: string): DocumentKind | undefined {
  const known = DOCUMENT_KINDS.get(mediaType);
  return known ?? (/^text\/(?!rtf$)/.test(mediaType) ? 'text' : undefined);
}

export type Container = 'a PDF' | 'a ZIP' | 'an Office file of before 2007 or with a password';

/** What a document's bytes certainly are; undefined: perhaps text. A PDF may begin with other bytes. */
export function containerOf(bytes: Uint8Array): Container | undefined {
  if (Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1_024)).includes('%PDF-'))
    return 'a PDF';
  if (begins(bytes, 'PK\x03\x04')) return 'a ZIP';
  if (begins(bytes, '\xd0\xcf\x11\xe0')) return 'an Office file of before 2007 or with a password';
  return undefined;
}

function begins(bytes: Uint8Array, magic: string): boolean {
  return (
    bytes.length >= magic.length &&
    Buffer.from(bytes.buffer, bytes.byteOffset, magic.length).equals(Buffer.from(magic, 'latin1'))
  );
}
