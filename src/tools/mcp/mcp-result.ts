// What a tool of an MCP server answered, as parts for a model: text as it is, structured content as JSON, images that
// models take, and in the place of everything else a note that says what it was.
import type { CallToolResult, ContentBlock } from '@modelcontextprotocol/client';
import { unseenImage } from '../../chat/prompt/image-note.ts';
import { imageTypeOf } from '../../chat/media-type.ts';
import type { ToolPart } from '../../chat/ports/tool.ts';
import { jsonText } from './mcp-json.ts';

/** Texts beside each other are one. */
export function resultParts({ content, structuredContent }: CallToolResult): ToolPart[] {
  const parts = content.map((part) => imageIn(part) ?? partText(part));
  if (structuredContent !== undefined) {
    const json =
      jsonText(structuredContent) ?? '[Structured content, nested too deeply to be read.]';
    // Servers repeat it as text, for clients that know no structured content.
    if (!parts.some((part) => typeof part === 'string' && isSameJson(part, json))) parts.push(json);
  }
  const joined: ToolPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (typeof part !== 'string') joined.push(part);
    else if (last?.kind === 'text') {
      joined[joined.length - 1] = { kind: 'text', text: `${last.text}\n\n${part}` };
    } else joined.push({ kind: 'text', text: part });
  }
  return joined;
}

/** For where there is no place for an image. */
export function textOf(parts: readonly ToolPart[]): string {
  return parts
    .map((part) =>
      part.kind === 'text'
        ? part.text
        : unseenImage({ mediaType: part.mediaType, bytes: part.data.length }),
    )
    .join('\n\n');
}

/** An image of a kind that models take, whatever the server says that it is. */
function imageIn(part: ContentBlock): ToolPart | undefined {
  if (part.type !== 'image') return undefined;
  const data = Buffer.from(part.data, 'base64');
  const mediaType = imageTypeOf(data);
  return mediaType === undefined ? undefined : { kind: 'image', data, mediaType };
}

function partText(part: ContentBlock): string {
  switch (part.type) {
    case 'text':
      return part.text;
    case 'image':
      return unseenImage({ mediaType: part.mimeType, bytes: bytesOf(part.data) });
    case 'audio':
      return `[Audio, ${part.mimeType}, ${bytesOf(part.data)} bytes, which cannot be shown here.]`;
    case 'resource_link':
      return `[A link to the resource ${part.uri}${named(part.title ?? part.name)}, which is not read here.]`;
    case 'resource': {
      const { resource } = part;
      if ('text' in resource) return `[The resource ${resource.uri}:]\n${resource.text}`;
      return `[The resource ${resource.uri}, ${resource.mimeType ?? 'of no known type'}, ${bytesOf(resource.blob)} bytes, which cannot be shown here.]`;
    }
    default:
      return '[Content of a kind that is not known here.]';
  }
}

function named(name: string): string {
  return name === '' ? '' : ` (${name})`;
}

function bytesOf(base64: string): number {
  return Buffer.byteLength(base64, 'base64');
}

function isSameJson(text: string, json: string): boolean {
  if (text === json) return true;
  try {
    return jsonText(JSON.parse(text)) === json;
  } catch {
    return false;
  }
}
