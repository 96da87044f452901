// PDF to text, page by page.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PDFDocumentProxy } from 'pdfjs-dist';
import { getDocument, VerbosityLevel } from 'pdfjs-dist/legacy/build/pdf.mjs';
import { MAX_DOCUMENT_PAGES } from '../chat/limits.ts';
import { boundLength } from './text-bound.ts';
import { Unreadable } from './unreadable.ts';

const PACKAGE = dirname(fileURLToPath(import.meta.resolve('pdfjs-dist/package.json')));

export async function pdfText(data: Uint8Array): Promise<string> {
  const task = getDocument({
    data: new Uint8Array(data),
    verbosity: VerbosityLevel.ERRORS,
    disableFontFace: true,
    useSystemFonts: false,
    useWorkerFetch: false,
    // Without them the text of many Chinese, Japanese and Korean documents is lost.
    cMapUrl: `${join(PACKAGE, 'cmaps')}/`,
    cMapPacked: true,
    standardFontDataUrl: `${join(PACKAGE, 'standard_fonts')}/`,
  });
  try {
    return await textOf(await task.promise);
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    const name = error instanceof Error ? error.name : '';
    if (name === 'PasswordException') {
      throw new Unreadable('is a PDF with a password; send it without one', error);
    }
    throw new Unreadable('is a broken PDF', error);
  } finally {
    await task.destroy();
  }
}

async function textOf(pdf: PDFDocumentProxy): Promise<string> {
  if (pdf.numPages > MAX_DOCUMENT_PAGES) {
    throw new Unreadable(
      `has ${pdf.numPages} pages; a document may have ${MAX_DOCUMENT_PAGES}. Send fewer of them`,
    );
  }
  const pages: string[] = [];
  let length = 0;
  for (let number = 1; number <= pdf.numPages; number++) {
    const page = await pdf.getPage(number);
    const { items } = await page.getTextContent();
    const text = items
      .map((item) => ('str' in item ? `${item.str}${item.hasEOL ? '\n' : ''}` : ''))
      .join('')
      .trimEnd();
    page.cleanup();
    pages.push(text);
    length += text.length;
    boundLength(length);
  }
  return pages.join('\n\n');
}
