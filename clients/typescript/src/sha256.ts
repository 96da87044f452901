// SHA-256 (FIPS 180-4), for the one hash at a chat's end. Of our own, since Web Crypto has none on pages without TLS
// and the audited packages are a fifth of what this client may weigh. No secret is hashed here, only what everybody
// is shown; a test holds it against Node's own.

const BLOCK_BYTES = 64;
const LENGTH_BYTES = 8;
const ROUNDS = 64;

/** The first 32 bits of the fractional parts of roots of the first primes, which is what the constants are. */
function fractions(count: number, root: (prime: number) => number): Int32Array {
  const found: number[] = [];
  for (let prime = 2; found.length < count; prime++) {
    let divisor = 2;
    while (divisor < prime && prime % divisor !== 0) divisor++;
    if (divisor === prime) found.push((root(prime) % 1) * 2 ** 32);
  }
  return Int32Array.from(found, (value) => value | 0);
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

/** Lowercase hex of the hash of the text's UTF-8. */
export function sha256Hex(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const constants = fractions(ROUNDS, Math.cbrt);
  const state = fractions(8, Math.sqrt);
  const padded = new Uint8Array(
    Math.ceil((bytes.length + 1 + LENGTH_BYTES) / BLOCK_BYTES) * BLOCK_BYTES,
  );
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - LENGTH_BYTES, BigInt(bytes.length) * 8n);
  const words = new Int32Array(ROUNDS);
  const at = (list: Int32Array, index: number): number => list[index] ?? 0;
  for (let offset = 0; offset < padded.length; offset += BLOCK_BYTES) {
    for (let i = 0; i < ROUNDS; i++) {
      if (i < 16) words[i] = view.getInt32(offset + i * 4);
      else {
        const w15 = at(words, i - 15);
        const w2 = at(words, i - 2);
        const s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3);
        const s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10);
        words[i] = at(words, i - 16) + s0 + at(words, i - 7) + s1;
      }
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let i = 0; i < ROUNDS; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + at(constants, i) + at(words, i)) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = at(state, i) + word));
  }
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
