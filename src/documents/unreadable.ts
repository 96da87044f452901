// Why a document cannot be read, in words that go on after its path. They name no content.
export class Unreadable extends Error {
  constructor(words: string, cause?: unknown) {
    super(words, { cause });
    this.name = 'Unreadable';
  }
}

export function tooLong(ms: number): string {
  return `took longer than ${ms / 1_000} s to read, the most that is spent on a document; send less of it, or its text`;
}

export function tooMuchMemory(bytes: number): string {
  return `needs more than ${Math.round(bytes / (1024 * 1024))} MiB of memory to read, the most that a document gets; send less of it, or its text`;
}
