// What a call of a tool came to, as it stands in the log: cut to its bounds, with words in the place of what is cut.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ContentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { tooLargeImage } from '../chat/image-note.ts';
import {
  MAX_CHAT_TOOL_IMAGE_BYTES,
  MAX_TOOL_RESULT_CHARS,
  MAX_TOOL_RESULT_IMAGE_BYTES,
} from '../chat/limits.ts';
import type { ToolPart } from '../chat/tool-port.ts';

type Content = MessageInitShape<typeof ContentBlockSchema>;

/** What the tools of a chat have answered so far; shared by the calls of a turn. */
export interface Answered {
  chars: number;
  imageBytes: number;
}

/** Counts what it takes. */
export function resultContent(parts: readonly ToolPart[], answered: Answered): Content[] {
  const whole = parts.reduce((sum, part) => sum + (part.kind === 'text' ? part.text.length : 0), 0);
  let left = MAX_TOOL_RESULT_CHARS;
  let imagesLeft = MAX_TOOL_RESULT_IMAGE_BYTES;
  const content: Content[] = [];
  const say = (text: string): void => {
    answered.chars += text.length;
    content.push({ block: { case: 'text', value: text } });
  };
  for (const part of parts) {
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
    const image = { mediaType, bytes: data.length };
    if (data.length > imagesLeft) {
      say(tooLargeImage(image, `those of a result may have ${MAX_TOOL_RESULT_IMAGE_BYTES} bytes`));
    } else if (answered.imageBytes + data.length > MAX_CHAT_TOOL_IMAGE_BYTES) {
      say(tooLargeImage(image, `those of a chat may have ${MAX_CHAT_TOOL_IMAGE_BYTES} bytes`));
    } else {
      imagesLeft -= data.length;
      answered.imageBytes += data.length;
      content.push({
        block: { case: 'image', value: { source: { case: 'data', value: data }, mediaType } },
      });
    }
  }
  if (content.length === 0) say('');
  return content;
}

function startOf(text: string, chars: number): string {
  const unit = text.charCodeAt(chars - 1);
  // Never between the halves of a surrogate pair.
  return text.slice(0, unit >= 0xd800 && unit <= 0xdbff ? chars - 1 : chars);
}

function cutNote(chars: number): string {
  return `[Cut off here: the result has ${chars} characters, and a tool’s result at most ${MAX_TOOL_RESULT_CHARS}. Ask for less at a time.]`;
}
