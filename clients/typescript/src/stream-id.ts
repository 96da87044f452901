// Ids for new chats. The client chooses them itself, so that a start whose answer was lost can be made again and is
// still one chat.

const UNIX_TIME_DIGITS = 12;

/** A UUIDv7, as the server makes them. By getRandomValues: randomUUID is missing on pages without TLS. */
export function newStreamId(): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const hex = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const time = Date.now().toString(16).padStart(UNIX_TIME_DIGITS, '0');
  const variant = '89ab'.charAt((random[9] ?? 0) & 3);
  return [
    time.slice(0, 8),
    time.slice(8),
    `7${hex.slice(0, 3)}`,
    variant + hex.slice(3, 6),
    hex.slice(6, 18),
  ].join('-');
}
