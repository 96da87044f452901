// Which chats a worker process says that it took.
import { z } from 'zod';

const TOOK = 'a worker took the chat';
const Line = z.object({ stream_id: z.string(), attempt: z.number() });

/** The newest attempt of each, by stream id. */
export function takenIn(log: readonly string[]): Map<string, number> {
  const taken = log.filter((line) => line.includes(TOOK));
  return new Map(
    taken.map((line) => {
      const { stream_id: streamId, attempt } = Line.parse(JSON.parse(line));
      return [streamId, attempt];
    }),
  );
}
