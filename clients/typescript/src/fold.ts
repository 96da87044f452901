// Events to snapshots: each event gives the next one, and the end is held against what was received. The server
// folds the same log the same way (src/chat/fold/answer.ts there), and a test compares the two.
import { sha256Hex } from './sha256.ts';
import { Code } from '@connectrpc/connect';
import { AnswerParts } from './answer-parts.ts';
import { TailraceError } from './errors.ts';
import { ChatStreamStatus } from './gen/tailrace/v1/chat_stream_pb.ts';
import type { Attached, Heartbeat } from './gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Event, WarningEvent } from './gen/tailrace/v1/event_pb.ts';
import { BlockKind } from './gen/tailrace/v1/event_pb.ts';
import type { ChatSnapshot } from './snapshot.ts';
import { emptySnapshot } from './snapshot.ts';

/** A snapshot but for the list of its parts. */
type Told = Omit<ChatSnapshot, 'parts'>;

export class ChatFold {
  readonly #answer = new AnswerParts();
  #warnings: { readonly sequence: number; readonly warning: WarningEvent }[] = [];
  #told: Told;
  #snapshot: ChatSnapshot;

  constructor(streamId: string, afterSequence: number) {
    this.#told = this.#snapshot = emptySnapshot(streamId, afterSequence);
  }

  get snapshot(): ChatSnapshot {
    return this.#snapshot;
  }

  /** What the server says of the chat as it stands, which may be ahead of the events that have come. */
  hear({ latestSequence, status, queuePosition }: Attached | Heartbeat): ChatSnapshot {
    const { sequence, ended, status: before } = this.#snapshot;
    const told = Math.max(sequence, latestSequence);
    // The status of a later event would be a lie about these.
    const now = !ended && latestSequence === sequence ? status : before;
    return this.#become({
      latestSequence: told,
      status: now === ChatStreamStatus.UNSPECIFIED ? ChatStreamStatus.PENDING : now,
      queuePosition,
    });
  }

  /** The event after the last one. Throws CONTENT_MISMATCH where the end tells of something else than came. */
  apply(event: Event): ChatSnapshot {
    const { sequence, attempt, payload } = event;
    const { snapshot } = this;
    const answer = this.#answer;
    const next = {
      sequence,
      attempt,
      latestSequence: Math.max(sequence, snapshot.latestSequence),
      queuePosition: undefined,
    };
    switch (payload.case) {
      case 'started':
        return this.#become({
          ...next,
          status: ChatStreamStatus.PROCESSING,
          model: payload.value.model,
        });
      case 'attemptStarted': {
        const kept = payload.value.supersedesAfterSequence ?? 0;
        answer.discardAfter(kept);
        this.#warnings = this.#warnings.filter((warned) => warned.sequence <= kept);
        const warnings = this.#warnings.map(({ warning }) => warning);
        return this.#become({ ...next, status: ChatStreamStatus.PROCESSING, warnings });
      }
      case 'blockStarted':
        answer.start(sequence, payload.value);
        break;
      case 'textDelta': {
        const { index = 0, text } = payload.value;
        answer.add(sequence, index, BlockKind.TEXT, text);
        break;
      }
      case 'thinkingDelta': {
        const { index = 0, text } = payload.value;
        answer.add(sequence, index, BlockKind.THINKING, text);
        break;
      }
      case 'toolInputDelta':
        answer.add(sequence, payload.value.index ?? 0, BlockKind.TOOL_USE, payload.value.json);
        break;
      case 'citation':
        answer.cite(sequence, payload.value);
        break;
      case 'blockStopped':
        answer.stop(sequence, payload.value);
        break;
      case 'toolResultsRequested': {
        const { toolUses, deadline } = payload.value;
        return this.#become({ ...next, pendingToolUses: toolUses, pendingUntil: deadline });
      }
      case 'toolResultsReceived': {
        const { results } = payload.value;
        answer.answer(results);
        const has = new Set(results.map(({ toolUseId }) => toolUseId));
        const pendingToolUses = snapshot.pendingToolUses.filter(({ id }) => !has.has(id));
        return this.#become({ ...next, pendingToolUses });
      }
      case 'usage':
        return this.#become({ ...next, usage: payload.value.usage });
      case 'warning':
        this.#warnings.push({ sequence, warning: payload.value });
        return this.#become({ ...next, warnings: [...snapshot.warnings, payload.value] });
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'error': {
        const { status, stopReason, usage = snapshot.usage, failure } = payload.value;
        const ended = this.#become({
          ...next,
          status,
          stopReason,
          usage,
          failure,
          ended: true,
          pendingToolUses: [],
          pendingUntil: undefined,
          outputJson: payload.case === 'completed' ? payload.value.outputJson : '',
          cancelReason: payload.case === 'cancelled' ? payload.value.reason : '',
        });
        if (!ended.fromStart) return ended;
        verify(ended, payload.value);
        return this.#become({ verified: true });
      }
      default:
      // A kind of event that a newer server has: it counts, and says nothing to this fold.
    }
    return this.#become(next);
  }

  #become(next: Partial<Told>): ChatSnapshot {
    const { text, thinking, parts } = this.#answer;
    this.#told = { ...this.#told, ...next };
    return (this.#snapshot = {
      ...this.#told,
      text,
      thinking,
      get parts() {
        return parts();
      },
    });
  }
}

interface End {
  readonly lastSequence: number;
  readonly contentSha256: string;
}

/** Hashed at the end and not as it comes: a lost attempt may take back any part of it until then. */
function verify({ text, sequence }: ChatSnapshot, { lastSequence, contentSha256 }: End): void {
  const has = sha256Hex(text);
  if (lastSequence === sequence && contentSha256 === has) return;
  throw new TailraceError(
    `The chat ended with ${lastSequence} events and text of SHA-256 ${contentSha256}; received were ${sequence} and ${has}.`,
    Code.DataLoss,
    { reason: 'CONTENT_MISMATCH' },
  );
}
