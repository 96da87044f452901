// What a tool of an MCP server answered, as text for a model: text as it is, structured content as JSON, and in
// the place of what is no text a note that says what it was.
import type { CallToolResult, ContentBlock } from '@modelcontextprotocol/client';
import { jsonText } from './mcp-json.ts';

export function resultText({ content, structuredContent }: CallToolResult): string {
  const parts = content.map(partText);
  if (structuredContent !== undefined) {
    const json =
      jsonText(structuredContent) ?? '[Structured content, nested too deeply to be read.]';
    // Servers repeat it as text, for clients that know no structured content.
    if (!parts.some((part) => isSameJson(part, json))) parts.push(json);
  }
  return parts.join('\n\n');
}

function partText(part: ContentBlock): string {
  switch (part.type) {
    case 'text':
      return part.text;
    case 'image':
    case 'audio':
      return `[${part.type === 'image' ? 'An image' : 'Audio'}, ${part.mimeType}, ${bytesOf(part.data)} bytes, which cannot be shown here.]`;
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
