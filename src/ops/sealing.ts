// Seals and opens secrets: AES-256-GCM with a random nonce for each, bound to the chat and the field that
// it belongs to. How long a secret is can be seen; nothing else can.
import type { KeyObject } from 'node:crypto';
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import type { ChatKey } from '../chat/chat-key.ts';
import { ChatError } from '../chat/errors.ts';
import type { Opener, Sealer, SecretPlace } from '../chat/ports/sealing.ts';
import { OpenError } from '../chat/ports/sealing.ts';
import type { SealKey } from './seal-keys.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^sealed:v1:([A-Za-z0-9_-]+):([A-Za-z0-9+/]+={0,2})$/;
const KEYED = /^([A-Za-z0-9_-]+):[0-9a-f]{64}$/;

interface Key {
  readonly id: string;
  readonly cipher: KeyObject;
  /** Derived: what is a key for two purposes is safe for neither. */
  readonly hash: KeyObject;
}

/** The first key seals, all of them open; without keys nothing is sealed, and what is sealed stays so. */
export function createSealing(given: readonly SealKey[]): Sealer & Opener {
  const keys = given.map(keyOf);
  const byId = new Map(keys.map((key) => [key.id, key]));
  return {
    seal: (text, place) => {
      const [key] = atLeastOne(keys);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key.cipher, nonce).setAAD(boundTo(place));
      const parts = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return `sealed:v1:${key.id}:${Buffer.concat(parts).toString('base64')}`;
    },
    open: (sealed, place) => {
      const [, id = '', base64 = ''] = SEALED.exec(sealed) ?? [];
      if (id === '') throw new OpenError(`The secret at ${place.path} is not sealed.`);
      const key = byId.get(id);
      if (key === undefined) throw new OpenError(keyMissing(id, place, keys));
      const bytes = Buffer.from(base64, 'base64');
      try {
        return opened(key, bytes, place);
      } catch (cause) {
        throw new OpenError(
          `The secret at ${place.path} is not what the key "${id}" sealed for this chat and field: it was changed or moved, or this process has another key by that id.`,
          { cause },
        );
      }
    },
    keyed: (digest, chat) => {
      const [first, ...others] = atLeastOne(keys);
      return [keyedBy(first, digest, chat), ...others.map((key) => keyedBy(key, digest, chat))];
    },
    missing: (keyed) => {
      const id = KEYED.exec(keyed)?.[1];
      return id === undefined || byId.has(id) ? undefined : id;
    },
  };
}

function opened(key: Key, bytes: Buffer, place: SecretPlace): string {
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const tag = bytes.subarray(Math.max(NONCE_BYTES, bytes.length - TAG_BYTES));
  const decipher = createDecipheriv(CIPHER, key.cipher, nonce, { authTagLength: TAG_BYTES })
    .setAAD(boundTo(place))
    .setAuthTag(tag);
  const text = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES));
  return Buffer.concat([text, decipher.final()]).toString('utf8');
}

/** JSON, so that no two places are the same bytes. */
function boundTo({ chat, path }: SecretPlace): Buffer {
  return Buffer.from(JSON.stringify([chat.tenant, chat.streamId, path]));
}

function keyedBy({ id, hash }: Key, digest: string, chat: ChatKey): string {
  const about = JSON.stringify([chat.tenant, chat.streamId, digest]);
  return `${id}:${createHmac('sha256', hash).update(about).digest('hex')}`;
}

function keyOf({ id, bytes }: SealKey): Key {
  const derived = hkdfSync('sha256', bytes, '', 'tailrace request identity v1', 32);
  return { id, cipher: createSecretKey(bytes), hash: createSecretKey(Buffer.from(derived)) };
}

function atLeastOne(keys: readonly Key[]): readonly [Key, ...Key[]] {
  const [first, ...others] = keys;
  if (first !== undefined) return [first, ...others];
  throw new ChatError(
    'SEALING_KEY_MISSING',
    'The request carries a secret, and this server has no key to seal it with, so nothing was created. The operator must set TAILRACE_SEAL_KEYS on every api and worker, for example to k1:<what openssl rand -base64 32 prints>.',
  );
}

function keyMissing(id: string, { path }: SecretPlace, keys: readonly Key[]): string {
  const there = keys.map((key) => `"${key.id}"`).join(', ') || 'none';
  return `The secret at ${path} was sealed by the key "${id}", which this worker does not have (it has ${there}). The operator must keep a key in TAILRACE_SEAL_KEYS, behind the one that seals, for as long as chats live that it sealed.`;
}
