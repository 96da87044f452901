// Questions to JetStream's API that a stream's leader answers in JSON. While there is none, NATS says so at
// once, or says nothing at all: in both cases the question is put again, within the bound of every other one.
import { ChatError } from '../chat/errors.ts';
import type { Answer, Exchange } from './exchange.ts';
import { asText } from './publish-fenced.ts';
import { isPassingCode } from './until-leader.ts';

/** `question` must be safe to repeat. Rejects with ChatError LOG_UNAVAILABLE. */
export async function askLeader<T>(
  exchange: Exchange,
  verb: string,
  question: Readonly<Record<string, string | number | boolean>>,
): Promise<T> {
  try {
    const asked = Buffer.from(JSON.stringify(question));
    const answer = await exchange.askAgain(`$JS.API.${verb}`, asked, hasNoLeader);
    if (answer.data.length === 0) throw new Error(`NATS answered ${answer.status}`);
    return JSON.parse(asText(answer.data)) as T;
  } catch (cause) {
    throw logUnavailable(cause);
  }
}

export function logUnavailable(cause: unknown): ChatError {
  return new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not answer. Nothing is lost; the same call with the same stream_id may be repeated safely.',
    { retryAfterMs: 1_000, cause },
  );
}

/** Longer answers hold a message: they are no refusals. */
const LONGEST_REFUSAL_BYTES = 1_024;
const NO_RESPONDERS = 503;
/** What a message holds is base64, so that it cannot look like this. */
const REFUSED = /"err_code":(\d+)/;

function hasNoLeader({ data, status }: Answer): boolean {
  if (data.length === 0) return status === NO_RESPONDERS;
  if (data.length > LONGEST_REFUSAL_BYTES) return false;
  const code = REFUSED.exec(asText(data))?.[1];
  return code !== undefined && isPassingCode(Number(code));
}
