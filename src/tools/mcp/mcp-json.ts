// JSON that a stranger sent, as text again. What can be read may be nested too deeply to be written.

/** Undefined: so deeply. */
export function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
