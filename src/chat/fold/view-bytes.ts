// Content as it is given back: who sent the bytes of an image has them, who observed has those of an answer, and
// many clients refuse an answer that holds them again. Size and SHA-256 tell which they were.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { digestOf } from '../request/content-digest.ts';
import { MAX_VIEW_DATA_BYTES } from '../limits.ts';

export function withoutLargeBytes(request: ChatRequest): ChatRequest {
  return {
    ...request,
    messages: request.messages.map((message) => ({
      ...message,
      content: message.content.map(withoutLargeData),
    })),
  };
}

export function outputWithoutLargeBytes(output: readonly ContentBlock[]): ContentBlock[] {
  return output.map(withoutLargeData);
}

/** Documents are stored as their text, so that only images are left. */
function withoutLargeData(content: ContentBlock): ContentBlock {
  const { block } = content;
  if (block.case === 'toolResult') {
    const inner = block.value.content.map(withoutLargeData);
    return { ...content, block: { ...block, value: { ...block.value, content: inner } } };
  }
  if (block.case !== 'image' || block.value.source.case !== 'data') return content;
  const data = block.value.source.value;
  if (data.length <= MAX_VIEW_DATA_BYTES) return content;
  const value = { ...block.value, source: { case: undefined }, original: digestOf(data) };
  return { ...content, block: { case: 'image', value } };
}
