// The keys that secrets are sealed with, as text: `id:base64`, several with commas or lines between. The
// variable and the file of the data folder are written alike.
import { MAX_SEAL_KEYS, SEAL_KEY_BYTES } from '../chat/limits.ts';

export interface SealKey {
  readonly id: string;
  /** Bytes, not a KeyObject: they go to the processes that run chats apart. */
  readonly bytes: Uint8Array;
}

export const SEAL_KEYS_FORM = `keys such as k1:<base64 of ${SEAL_KEY_BYTES} bytes> with commas between, the first seals, all open; openssl rand -base64 ${SEAL_KEY_BYTES} makes the part after the colon`;

const KEY = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]+={0,2})$/;

/** What is wrong is told by place, never by what stands there. */
export function parseSealKeys(text: string): readonly SealKey[] | { readonly fault: string } {
  const parts = text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const keys: SealKey[] = [];
  for (const [i, part] of parts.entries()) {
    const [, id = '', base64 = ''] = KEY.exec(part) ?? [];
    const bytes = Buffer.from(base64, 'base64');
    if (id === '') {
      return {
        fault: `${SEAL_KEYS_FORM} (the ${nth(i)} is no id of 1 to 32 of A–Z, a–z, 0–9, _ and -, a colon, base64)`,
      };
    }
    if (bytes.length !== SEAL_KEY_BYTES || bytes.toString('base64') !== base64) {
      return { fault: `${SEAL_KEYS_FORM} ("${id}" is not the base64 of ${SEAL_KEY_BYTES} bytes)` };
    }
    if (keys.some((key) => key.id === id)) {
      return { fault: `${SEAL_KEYS_FORM} ("${id}" is there twice)` };
    }
    keys.push({ id, bytes });
  }
  if (keys.length > MAX_SEAL_KEYS) return { fault: `at most ${MAX_SEAL_KEYS} keys` };
  return keys.length === 0 ? { fault: SEAL_KEYS_FORM } : keys;
}

export function sealKeyText({ id, bytes }: SealKey): string {
  return `${id}:${Buffer.from(bytes).toString('base64')}`;
}

function nth(index: number): string {
  return ['1st', '2nd', '3rd'][index] ?? `${index + 1}th`;
}
