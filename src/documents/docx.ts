// DOCX to text, by way of HTML. It is a ZIP: what it unpacks to is bounded before anything reads it, and
// only its texts are unpacked, no images and no embedded files.
import { unzipSync, zipSync } from 'fflate';
import mammoth from 'mammoth';
import { MAX_DOCUMENT_EXPANDED_BYTES } from '../chat/limits.ts';
import { textOfHtml } from './html.ts';
import { Unreadable } from './unreadable.ts';

const NEEDED = /^(?:\[Content_Types\]\.xml|_rels\/[^/]+|word\/(?:_rels\/)?[^/]+\.(?:xml|rels))$/;
const MAIN = 'word/document.xml';

export async function docxText(bytes: Uint8Array): Promise<string> {
  // Whole again, without compression: what the library below unpacks is what was measured here.
  const measured = zipSync(unpacked(bytes), { level: 0 });
  const { value } = await mammoth.convertToHtml(
    { buffer: Buffer.from(measured.buffer, measured.byteOffset, measured.length) },
    { convertImage: noImages },
  );
  return textOfHtml(value);
}

const noImages = mammoth.images.imgElement(() => Promise.resolve({ src: '' }));

function unpacked(bytes: Uint8Array): Record<string, Uint8Array> {
  let expanded = 0;
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        if (!NEEDED.test(name)) return false;
        expanded += originalSize;
        if (expanded > MAX_DOCUMENT_EXPANDED_BYTES) throw new Unreadable(unpacksTooFar(expanded));
        return true;
      },
    });
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    throw new Unreadable('is a broken ZIP, and a DOCX is a ZIP', error);
  }
  if (!(MAIN in files)) throw new Unreadable(`is a ZIP but no DOCX: it has no ${MAIN}`);
  return files;
}

function unpacksTooFar(bytes: number): string {
  return `unpacks to ${bytes} bytes or more; a document may unpack to ${MAX_DOCUMENT_EXPANDED_BYTES}`;
}
