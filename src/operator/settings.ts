// Settings that several files of the operator's have alike.
import { z } from 'zod';

export const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable');

/** Of a header: as it is, or where it is. */
export const HEADER_VALUE = z.union(
  [
    z.string().regex(/^[\x20-\x7e]*$/, 'visible ASCII characters'),
    z.strictObject({ env: variable }),
  ],
  'a text of visible ASCII characters, or { env: the name of an environment variable }',
);
