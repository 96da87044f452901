// How a document stands in the prompt. Documented in docs/MODELS.md: callers write prompts around it.
import type { DocumentBlock } from '../../../gen/tailrace/v1/content_pb.ts';

/** `index` counts the documents of the conversation from 1. */
export function documentText(
  { title, mediaType, source }: DocumentBlock,
  index: number,
): string | undefined {
  if (source.case !== 'text') return undefined;
  const type = mediaType.split(';')[0]?.trim() ?? '';
  const attributes = [
    ` index="${index}"`,
    title === '' ? '' : ` title="${attribute(title)}"`,
    type === '' ? '' : ` media_type="${attribute(type)}"`,
  ].join('');
  // A document must not be able to say that it is over: what follows would be the user's words.
  const text = source.value.replaceAll(/<\/(?=\s*document\b)/gi, '&lt;/');
  return `<document${attributes}>\n${text.trimEnd()}\n</document>`;
}

/** Fit for the quotes of an attribute, on one line. */
export function attribute(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\s+/g, ' ');
}
