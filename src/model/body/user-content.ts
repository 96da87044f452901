// A user's message as model servers take it: one string while there is text alone, since not every server
// takes an array of parts; with images an array, in order.
import type { ChatCompletionContentPart } from 'openai/resources/chat/completions';
import type { ContentBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { documentText } from '../../chat/prompt/document-text.ts';
import { parseMediaType } from '../../chat/media-type.ts';
import { unsent } from './unsent.ts';

/**
 * `nextDocument` numbers the documents of the conversation. Throws a ModelFailure for what cannot be sent.
 * Separate things that were said are apart by a line, as vLLM and llama.cpp join parts.
 */
export function userContent(
  content: readonly ContentBlock[],
  nextDocument: () => number,
): string | ChatCompletionContentPart[] {
  const parts: ChatCompletionContentPart[] = [];
  for (const { block } of content) {
    const part = partOf(block, nextDocument);
    if (part === undefined) throw unsent(`a content block of kind "${block.case ?? 'none'}"`);
    const last = parts.at(-1);
    if (part.type === 'text' && last?.type === 'text') last.text += `\n${part.text}`;
    else parts.push(part);
  }
  const [first] = parts;
  return parts.length === 1 && first?.type === 'text' ? first.text : parts;
}

function partOf(
  block: ContentBlock['block'],
  nextDocument: () => number,
): ChatCompletionContentPart | undefined {
  switch (block.case) {
    case 'text':
      return { type: 'text', text: block.value };
    case 'document': {
      const text = documentText(block.value, nextDocument());
      return text === undefined ? undefined : { type: 'text', text };
    }
    case 'image': {
      const { source, mediaType } = block.value;
      if (source.case === 'url') return { type: 'image_url', image_url: { url: source.value } };
      if (source.case !== 'data') return undefined;
      const name = parseMediaType(mediaType)?.name ?? '';
      // Said by many and registered by nobody.
      const type = name === 'image/jpg' ? 'image/jpeg' : name;
      const { buffer, byteOffset, length } = source.value;
      const base64 = Buffer.from(buffer, byteOffset, length).toString('base64');
      return { type: 'image_url', image_url: { url: `data:${type};base64,${base64}` } };
    }
    default:
      return undefined;
  }
}
