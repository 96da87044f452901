// A chat is named by its tenant and its stream id, and by nothing else.

export interface ChatKey {
  readonly tenant: string;
  readonly streamId: string;
}

/** For maps: neither part may hold a slash. */
export function keyOf(chat: ChatKey): string {
  return `${chat.tenant}/${chat.streamId}`;
}
