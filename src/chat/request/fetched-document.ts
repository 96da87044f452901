// A document by url: its bytes, and what they are read as. What the request says is stronger than what the
// server says, since many servers know of no type, and whoever asks may know better.
import type { DocumentBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import type { ChatKey } from '../chat-key.ts';
import { otherThanSaid } from '../rules/content-rules.ts';
import type { DocumentFetcher, DocumentToRead } from '../ports/document.ts';
import { DOCUMENT_TYPES, documentKindOf, parseMediaType } from '../media-type.ts';

export interface Found {
  readonly toRead: DocumentToRead;
  /** What it is stored as. */
  readonly mediaType: string;
}

export async function fetchDocument(
  url: string,
  { mediaType }: DocumentBlock,
  fetcher: DocumentFetcher,
  whose: ChatKey,
  signal: AbortSignal,
): Promise<Found | { readonly unreadable: string }> {
  const refusal = (contentType: string): string | undefined =>
    typeOf(mediaType, contentType) === undefined ? unknownType(contentType) : undefined;
  const fetched = await fetcher.fetch(url, refusal, whose, signal);
  if ('unfetched' in fetched) return { unreadable: fetched.unfetched };
  const { data, contentType } = fetched;
  const type = typeOf(mediaType, contentType);
  if (type === undefined) return { unreadable: unknownType(contentType) };
  if (data.length === 0) return { unreadable: 'answered with nothing' };
  const said =
    mediaType === '' ? `its server says "${type.name}"` : `media_type says "${mediaType}"`;
  const otherwise = otherThanSaid(data, type.kind, said);
  if (otherwise !== undefined) return { unreadable: otherwise };
  const { kind, charset } = type;
  return { toRead: { kind, data, charset }, mediaType: mediaType === '' ? type.name : mediaType };
}

/** As DocumentBlock.media_type bounds it. */
const MAX_MEDIA_TYPE_CHARS = 255;

function typeOf(mediaType: string, contentType: string) {
  const said = parseMediaType(contentType);
  const type = mediaType === '' ? said : parseMediaType(mediaType);
  const kind = documentKindOf(type?.name ?? '');
  if (type === undefined || kind === undefined) return undefined;
  if (type.name.length > MAX_MEDIA_TYPE_CHARS) return undefined;
  return { kind, name: type.name, charset: type.charset ?? said?.charset };
}

function unknownType(contentType: string): string {
  const answered =
    contentType === ''
      ? 'answered without a Content-Type'
      : `answered with "${contentType.slice(0, 100)}", which cannot be read`;
  return `${answered}; these can, and media_type may say which it is: ${DOCUMENT_TYPES}`;
}
