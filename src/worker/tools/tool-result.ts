// What a call of a tool came to, as it stands in the log: cut to its bounds, with words in the place of what is cut.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ContentBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { oneImageMore, tooLargeImage } from '../../chat/prompt/image-note.ts';
import {
  MAX_CHAT_TOOL_IMAGE_BYTES,
  MAX_TOOL_RESULT_CHARS,
  MAX_TOOL_RESULT_IMAGE_BYTES,
  MAX_TOOL_RESULT_IMAGES,
} from '../../chat/limits.ts';
import type { ToolPart } from '../../chat/ports/tool.ts';

type Content = MessageInitShape<typeof ContentBlockSchema>;

/** What the tools of a chat have answered so far; shared by the calls of a turn. */
export interface Answered {
  chars: number;
  imageBytes: number;
}

/** Counts what it takes. What stands in the place of an image is text as any other. */
export function resultContent(parts: readonly ToolPart[], answered: Answered): Content[] {
  const shown = withNotes(parts, answered.imageBytes);
  const whole = shown.reduce((sum, part) => sum + (part.kind === 'text' ? part.text.length : 0), 0);
  let left = MAX_TOOL_RESULT_CHARS;
  const content: Content[] = [];
  const say = (text: string): void => {
    answered.chars += text.length;
    content.push({ block: { case: 'text', value: text } });
  };
  for (const part of shown) {
    if (part.kind === 'text') {
      // What is cut off is cut off: nothing stands behind the note.
      if (part.text.length > left) {
        say(`${startOf(part.text, left)}\n${cutNote(whole)}`);
        return content;
      }
      left -= part.text.length;
      say(part.text);
      continue;
    }
    const { data, mediaType } = part;
    answered.imageBytes += data.length;
    content.push({
      block: { case: 'image', value: { source: { case: 'data', value: data }, mediaType } },
    });
  }
  if (content.length === 0) say('');
  return content;
}

/** `before`: bytes of images that the chat has already. */
function withNotes(parts: readonly ToolPart[], before: number): readonly ToolPart[] {
  let images = 0;
  let bytes = 0;
  return parts.map((part): ToolPart => {
    if (part.kind === 'text') return part;
    const { length } = part.data;
    const image = { mediaType: part.mediaType, bytes: length };
    const note = (text: string): ToolPart => ({ kind: 'text', text });
    if (bytes + length > MAX_TOOL_RESULT_IMAGE_BYTES) {
      const most = `those of a result may have ${MAX_TOOL_RESULT_IMAGE_BYTES} bytes`;
      return note(tooLargeImage(image, most));
    }
    if (before + bytes + length > MAX_CHAT_TOOL_IMAGE_BYTES) {
      const most = `those of a chat may have ${MAX_CHAT_TOOL_IMAGE_BYTES} bytes`;
      return note(tooLargeImage(image, most));
    }
    if (images === MAX_TOOL_RESULT_IMAGES) {
      return note(oneImageMore(image, `a result may have ${MAX_TOOL_RESULT_IMAGES}`));
    }
    images++;
    bytes += length;
    return part;
  });
}

function startOf(text: string, chars: number): string {
  const unit = text.charCodeAt(chars - 1);
  // Never between the halves of a surrogate pair.
  return text.slice(0, unit >= 0xd800 && unit <= 0xdbff ? chars - 1 : chars);
}

function cutNote(chars: number): string {
  return `[Cut off here: the result has ${chars} characters, and a tool’s result at most ${MAX_TOOL_RESULT_CHARS}. Ask for less at a time.]`;
}
