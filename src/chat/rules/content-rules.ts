// The rules of images and documents that stand in no .proto: where they may be, how large and how many,
// and that the bytes are what their media type says.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { DocumentBlock, ImageBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import { blocksOf, documentsOf } from './content-places.ts';
import type { Violation } from '../errors.ts';
import { MAX_DOCUMENTS, MAX_IMAGE_BYTES, MAX_IMAGES } from '../limits.ts';
import {
  type Container,
  containerOf,
  DOCUMENT_TYPES,
  type DocumentKind,
  documentKindOf,
  IMAGE_TYPES,
  imageTypeOf,
  parseMediaType,
} from '../media-type.ts';

export function contentViolations(request: ChatRequest): Violation[] {
  const found: Violation[] = [];
  let images = 0;
  for (const { path, block, role } of blocksOf(request)) {
    const kind = block.case;
    if (kind !== 'image' && kind !== 'document') continue;
    if (role === Role.ASSISTANT) {
      found.push({
        path: `${path}.${kind}`,
        description: `belongs into a message of ROLE_USER: no model server takes it from the assistant`,
      });
    }
    if (block.case !== 'image') continue;
    images++;
    found.push(...imageViolations(block.value, `${path}.image`));
  }
  const documents = [...documentsOf(request)];
  for (const { path, document } of documents) found.push(...documentViolations(document, path));
  for (const [what, count, most] of [
    ['images', images, MAX_IMAGES],
    ['documents', documents.length, MAX_DOCUMENTS],
  ] as const) {
    if (count <= most) continue;
    found.push({
      path: 'request.messages',
      description: `have ${count} ${what}; at most ${most} are taken`,
    });
  }
  return found;
}

/** `path`: of the image. */
export function imageViolations(image: ImageBlock, path: string): Violation[] {
  const found: Violation[] = [];
  if (image.original !== undefined) found.push(onlyInAnswers(path));
  const { source } = image;
  if (source.case === 'url') {
    found.push(...urlViolations(source.value, `${path}.url`));
    if (image.mediaType !== '') {
      found.push({
        path: `${path}.media_type`,
        description: 'is for data; with url leave it out, since the model server asks the address',
      });
    }
  }
  if (source.case !== 'data') return found;
  const { length } = source.value;
  if (length > MAX_IMAGE_BYTES) {
    found.push({
      path: `${path}.data`,
      description: `has ${length} bytes; an image may have ${MAX_IMAGE_BYTES}`,
    });
  }
  const is = imageTypeOf(source.value);
  const said = parseMediaType(image.mediaType)?.name;
  if (is === undefined) {
    found.push({
      path: `${path}.data`,
      description: `is no image that model servers take; they take ${IMAGE_TYPES.join(', ')}`,
    });
  }
  if (image.mediaType === '') {
    const should = is ?? `one of ${IMAGE_TYPES.join(', ')}`;
    found.push({
      path: `${path}.media_type`,
      description: `is missing; with data it is ${should}`,
    });
  } else if (said !== is && is !== undefined && !(said === 'image/jpg' && is === 'image/jpeg')) {
    const description = `is "${image.mediaType}", and the bytes are ${is}`;
    found.push({ path: `${path}.media_type`, description });
  }
  return found;
}

const CONTAINERS: Readonly<Record<DocumentKind, Container | undefined>> = {
  pdf: 'a PDF',
  docx: 'a ZIP',
  html: undefined,
  text: undefined,
};

function documentViolations(document: DocumentBlock, path: string): Violation[] {
  const { source, mediaType } = document;
  const found: Violation[] = [];
  if (document.original !== undefined) found.push(onlyInAnswers(path));
  if (source.case === 'text' && source.value.trim() === '') {
    found.push({ path: `${path}.text`, description: 'is empty; it must have text' });
  }
  if (source.case === 'url') found.push(...urlViolations(source.value, `${path}.url`));
  if (source.case !== 'data' && source.case !== 'url') return found;
  if (mediaType === '') {
    // The server at the address says it.
    if (source.case === 'url') return found;
    const description = `is missing; with data it is one of ${DOCUMENT_TYPES}`;
    return [...found, { path: `${path}.media_type`, description }];
  }
  const kind = documentKindOf(parseMediaType(mediaType)?.name ?? '');
  if (kind === undefined) {
    const description = `is "${mediaType}", which cannot be read; these can: ${DOCUMENT_TYPES}`;
    return [...found, { path: `${path}.media_type`, description }];
  }
  if (source.case === 'url') return found;
  const otherwise = otherThanSaid(source.value, kind, `media_type says "${mediaType}"`);
  if (otherwise !== undefined) found.push({ path: `${path}.data`, description: otherwise });
  return found;
}

/** Where bytes are certainly not of this kind, what they are and that `said` says otherwise. */
export function otherThanSaid(
  data: Uint8Array,
  kind: DocumentKind,
  said: string,
): string | undefined {
  const is = containerOf(data);
  if (is === CONTAINERS[kind]) return undefined;
  // A text may speak of PDF in its first lines.
  if (kind === 'text' && is === 'a PDF' && data[0] !== PERCENT) return undefined;
  const really = is === undefined ? `not ${CONTAINERS[kind]}` : is;
  const wanted = kind === 'docx' ? '; save it as DOCX without a password' : '';
  return `is ${really}, while ${said}${wanted}`;
}

const PERCENT = 0x25;

function urlViolations(url: string, path: string): Violation[] {
  if (['http:', 'https:'].includes(URL.parse(url)?.protocol ?? '')) return [];
  const inline = url.startsWith('data:') ? '; put the bytes of a data: address into data' : '';
  return [{ path, description: `must be an http or https address${inline}` }];
}

function onlyInAnswers(path: string): Violation {
  return { path: `${path}.original`, description: 'is only in answers; send the bytes in data' };
}
