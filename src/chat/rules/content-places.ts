// Where the blocks of a request are: one walk for all that looks at them.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlock, DocumentBlock, Role } from '../../../gen/tailrace/v1/content_pb.ts';

export interface BlockPlace {
  /** Of the block, as request.messages[3].content[1]. */
  readonly path: string;
  readonly block: ContentBlock['block'];
  readonly role: Role;
}

/** The blocks of the messages in order, those inside tool results after the result itself. */
export function* blocksOf(request: ChatRequest): Generator<BlockPlace> {
  for (const [i, { role, content }] of request.messages.entries()) {
    for (const [j, { block }] of content.entries()) {
      const path = `request.messages[${i}].content[${j}]`;
      yield { path, block, role };
      if (block.case !== 'toolResult') continue;
      for (const [k, inner] of block.value.content.entries()) {
        const at = `${path}.tool_result.content[${k}]`;
        yield { path: at, block: inner.block, role };
      }
    }
  }
}

export interface DocumentPlace {
  /** Of the document itself. */
  readonly path: string;
  readonly document: DocumentBlock;
}

/** Every document, those of tool_context included. */
export function* documentsOf(request: ChatRequest): Generator<DocumentPlace> {
  for (const { path, block } of blocksOf(request)) {
    if (block.case === 'document') yield { path: `${path}.document`, document: block.value };
  }
  for (const [i, { item }] of request.toolContext.entries()) {
    if (item.case !== 'document') continue;
    yield { path: `request.tool_context[${i}].document`, document: item.value };
  }
}
