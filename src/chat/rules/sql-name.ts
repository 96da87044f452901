// Names of callers as they stand in SQL: letters, digits and _, so that a model can hardly get them wrong.

/** Empty where nothing is left. Two names may become one. */
export function sqlName(given: string): string {
  const name = given
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{N}\p{M}_]+/gu, '_')
    .replaceAll(/^_+|_+$/g, '');
  // A digit begins no name, and SQLite keeps sqlite_ for itself.
  return /^\p{N}|^sqlite_/iu.test(name) ? `_${name}` : name;
}
