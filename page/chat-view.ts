// What is shown of one chat beside its answer: where it stands, what it has used, which events came.
import type { ChatSnapshot, ChatUpdate, Event } from '../clients/typescript/src/tailrace.ts';
import { ChatStreamStatus, FailureReason, StopReason } from '../clients/typescript/src/tailrace.ts';
import type { Shown } from './answer-view.ts';
import { showAnswer } from './answer-view.ts';
import { byId, element, showText } from './element.ts';

const MAX_EVENTS_SHOWN = 300;

const status = byId('status', HTMLElement);
const connection = byId('connection', HTMLElement);
const answer = byId('answer', HTMLElement);
const notice = byId('notice', HTMLElement);
const failed = byId('chat-error', HTMLElement);
const facts = byId('facts', HTMLElement);
const events = byId('event-list', HTMLElement);
const cancel = byId('cancel', HTMLButtonElement);
const cut = byId('cut', HTMLButtonElement);

type Connection =
  | { readonly state: 'connecting' | 'watching' | 'over' }
  | { readonly state: 'lost'; readonly error: string; readonly retryInMs: number };

export interface ChatView {
  readonly take: (update: ChatUpdate) => void;
  /** Something that was asked for the chat could not be had; it is watched on. */
  readonly complain: (sentence: string) => void;
  /** It is watched no longer; with a sentence, because of that. */
  readonly over: (sentence?: string) => void;
  /** Another one is shown in its place: nothing of this one is drawn any more. */
  readonly close: () => void;
}

/** Empties what the chat before left. */
export function openChatView(): ChatView {
  const shown: Shown = { views: [] };
  const openedMs = performance.now();
  let chat: ChatSnapshot | undefined;
  let link: Connection = { state: 'connecting' };
  let resumed = 0;
  let firstTextMs: number | undefined;
  let wanted: number | undefined;
  let closed = false;
  let complaint = '';
  const lines: HTMLElement[] = [];

  answer.replaceChildren();
  events.replaceChildren();
  facts.replaceChildren();
  function render(): void {
    wanted = undefined;
    showConnection(link);
    cut.disabled = link.state === 'over';
    answer.setAttribute('aria-busy', String(link.state !== 'over' && chat?.ended !== true));
    showText(failed, complaint === '' && chat !== undefined ? failureOf(chat) : complaint);
    if (chat === undefined) {
      status.textContent = '';
      return;
    }
    const name = statusName(chat);
    status.textContent = name.text;
    status.dataset['tone'] = name.tone;
    cancel.disabled = chat.ended;
    showAnswer(answer, chat.parts, shown);
    showText(notice, noticeOf(chat));
    showFacts(chat, { resumed, firstTextMs });
    const atEnd = events.scrollHeight - events.scrollTop - events.clientHeight < 8;
    events.append(...lines.splice(0));
    while (events.childElementCount > MAX_EVENTS_SHOWN) events.firstElementChild?.remove();
    if (atEnd) events.scrollTop = events.scrollHeight;
  }
  /** Once a frame: a replay brings thousands of events between two. */
  function soon(): void {
    if (closed) return;
    wanted ??= requestAnimationFrame(render);
  }
  soon();
  return {
    take: (update) => {
      chat = update.snapshot;
      switch (update.kind) {
        case 'event':
          if (chat.text !== '') firstTextMs ??= performance.now() - openedMs;
          lines.push(element('li', '', lineOf(update.event)));
          if (lines.length > MAX_EVENTS_SHOWN) lines.shift();
          break;
        case 'attached':
          if (link.state === 'lost') {
            resumed++;
            lines.push(element('li', 'mark', `resumed after event ${chat.sequence}`));
          }
          link = { state: 'watching' };
          break;
        case 'reconnecting':
          link = { state: 'lost', error: update.error.message, retryInMs: update.retryInMs };
          lines.push(element('li', 'mark', `connection lost: ${update.error.message}`));
          break;
        case 'heartbeat':
          break;
      }
      soon();
    },
    complain: (sentence) => {
      complaint = sentence;
      soon();
    },
    over: (sentence = '') => {
      complaint = sentence;
      link = { state: 'over' };
      soon();
    },
    close: () => {
      closed = true;
      if (wanted !== undefined) cancelAnimationFrame(wanted);
    },
  };
}

function showConnection(link: Connection): void {
  const texts = {
    connecting: 'connecting …',
    watching: 'watching live',
    over: '',
    lost: 'connection lost, coming back …',
  } as const;
  connection.textContent = texts[link.state];
  connection.dataset['tone'] = link.state === 'lost' ? 'wait' : 'live';
  connection.title = link.state === 'lost' ? link.error : '';
}

function statusName(chat: ChatSnapshot): { readonly text: string; readonly tone: string } {
  if (chat.pendingToolUses.length > 0)
    return { text: 'waits for its client’s tools', tone: 'wait' };
  const { status: is, queuePosition = 0 } = chat;
  const ahead = is === ChatStreamStatus.PENDING && queuePosition > 0;
  return { text: `${nameOf(is)}${ahead ? `, ${queuePosition} before it` : ''}`, tone: toneOf(is) };
}

export function nameOf(of: ChatStreamStatus): string {
  return of === ChatStreamStatus.UNSPECIFIED ? '' : nameIn(ChatStreamStatus, of);
}

export function toneOf(of: ChatStreamStatus): string {
  switch (of) {
    case ChatStreamStatus.PENDING:
      return 'wait';
    case ChatStreamStatus.PROCESSING:
    case ChatStreamStatus.COMPLETED:
      return 'live';
    case ChatStreamStatus.FAILED:
    case ChatStreamStatus.ERROR:
      return 'bad';
    default:
      return '';
  }
}

function noticeOf(chat: ChatSnapshot): string {
  const calls = chat.pendingToolUses.map(({ name, input }) => `${name}(${input})`).join(', ');
  const waiting = calls === '' ? [] : [`It waits for the results of ${calls}.`];
  return [...chat.warnings.map(({ message }) => message), ...waiting].join(' ');
}

function failureOf({ failure }: ChatSnapshot): string {
  if (failure === undefined) return '';
  return `${failure.message} (${nameIn(FailureReason, failure.reason)})`;
}

interface Seen {
  readonly resumed: number;
  readonly firstTextMs: number | undefined;
}

function showFacts(chat: ChatSnapshot, { resumed, firstTextMs }: Seen): void {
  const { usage } = chat;
  const rows: (readonly [string, string])[] = [
    ['Model', chat.model],
    ['Events', `${chat.sequence}`],
    ['First text here after', firstTextMs === undefined ? '' : `${Math.round(firstTextMs)} ms`],
    ['Attempt', chat.attempt > 1 ? `${chat.attempt}` : ''],
    ['Tokens read', number(usage?.inputTokens)],
    ['Tokens written', number(usage?.outputTokens)],
    ['of it reasoning', number(usage?.reasoningTokens || undefined)],
    ['Cost', usage?.cost === undefined ? '' : `${usage.cost} ${usage.currency}`],
    [
      'Ended by',
      chat.stopReason === StopReason.UNSPECIFIED ? '' : nameIn(StopReason, chat.stopReason),
    ],
    ['Times resumed', resumed === 0 ? '' : `${resumed}`],
    ['Count and SHA-256', chat.verified ? '✓ verified' : ''],
  ];
  facts.replaceChildren(
    ...rows
      .filter(([, value]) => value !== '')
      .map(([name, value]) =>
        element('div', '', element('dt', '', name), element('dd', '', value)),
      ),
  );
}

function number(value: number | undefined): string {
  return value === undefined ? '' : value.toLocaleString('en');
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  const found = Object.entries(names).find(([, each]) => each === value)?.[0] ?? `${value}`;
  return found.toLowerCase().replaceAll('_', ' ');
}

function lineOf({ sequence, payload }: Event): string {
  const head = `${String(sequence).padStart(5)}  ${payload.case ?? '?'}`;
  switch (payload.case) {
    case 'textDelta':
    case 'thinkingDelta':
      return `${head}  ${JSON.stringify(payload.value.text)}`;
    case 'toolInputDelta':
      return `${head}  ${payload.value.json}`;
    case 'attemptStarted':
      return `${head}  discards what came after ${payload.value.supersedesAfterSequence ?? 0}`;
    default:
      return head;
  }
}
