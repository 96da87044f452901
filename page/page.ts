// The page at `/`: starts chats and watches the one that the address names (/#<id>). It shows what the client in
// clients/typescript does; the full console is another thing.
import { Code } from '@connectrpc/connect';
import type { ChatStream, Message } from '../clients/typescript/src/tailrace.ts';
import { createTailraceClient, Role, TailraceError } from '../clients/typescript/src/tailrace.ts';
import type { ChatView } from './chat-view.ts';
import { nameOf, openChatView, toneOf } from './chat-view.ts';
import { byId, element, showText } from './element.ts';
import { keepToken, keptToken } from './kept-token.ts';
import { openNetwork } from './network.ts';

const TITLE = document.title;
const CUT_MS = 5_000;
const RECENT = 8;
const COPIED_MS = 1_500;
const NO_CHAT =
  'It was deleted, has expired, belongs to another token, or never was. Choose one below, or start one.';

const tokenForm = byId('token-form', HTMLFormElement);
const token = byId('token', HTMLInputElement);
const startForm = byId('start-form', HTMLFormElement);
const prompt = byId('prompt', HTMLTextAreaElement);
const model = byId('model', HTMLSelectElement);
const maxTokens = byId('max-tokens', HTMLInputElement);
const start = byId('start', HTMLButtonElement);
const startError = byId('start-error', HTMLElement);
const watchForm = byId('watch-form', HTMLFormElement);
const watchId = byId('watch-id', HTMLInputElement);
const chatCard = byId('chat', HTMLElement);
const question = byId('question', HTMLElement);
const cancel = byId('cancel', HTMLButtonElement);
const recent = byId('recent', HTMLElement);
const recentList = byId('recent-list', HTMLElement);

const network = openNetwork();
const client = createTailraceClient(network.transport, {
  token: keptToken,
  // Somebody is looking on.
  backoff: { maxMs: 1_500 },
});
let watching: AbortController | undefined;
let view: ChatView | undefined;

function chatId(): string {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

/** A sentence for people; a missing token opens its field. */
function say(thrown: unknown): string {
  const error = TailraceError.from(thrown);
  if (error.code === Code.Unauthenticated && tokenForm.hidden) {
    tokenForm.hidden = false;
    token.focus();
  }
  const fields = error.fieldViolations.map(({ field, description }) => `${field}: ${description}`);
  const said = [error.message, ...fields.filter((field) => !error.message.includes(field))];
  return [said.join(' · '), ...(error.code === Code.NotFound ? [NO_CHAT] : [])].join(' ');
}

async function loadModels(): Promise<void> {
  const models = await client.listModels();
  // The default one is the first.
  model.replaceChildren(...models.map(({ name }) => new Option(name, name)));
  model.disabled = models.length === 0;
}

async function loadRecent(): Promise<void> {
  const { done, value } = await client.list({ pageSize: RECENT }).pages().next();
  if (done === true) return;
  recent.hidden = value.chatStreams.length === 0;
  recentList.replaceChildren(...value.chatStreams.map(recentItem));
}

function recentItem({ streamId, status, createdAt }: ChatStream): HTMLElement {
  const link = element('a', '', streamId);
  link.setAttribute('href', `#${encodeURIComponent(streamId)}`);
  if (streamId === chatId()) link.setAttribute('aria-current', 'true');
  const pill = element('span', 'pill', nameOf(status));
  pill.dataset['tone'] = toneOf(status);
  const item = element('li', '', link, pill);
  if (createdAt !== undefined) {
    const at = new Date(Number(createdAt.seconds) * 1_000);
    const today = at.toDateString() === new Date().toDateString();
    const time = element('time', '', today ? at.toLocaleTimeString() : at.toLocaleString());
    time.setAttribute('datetime', at.toISOString());
    item.append(time);
  }
  return item;
}

function questionOf(messages: readonly Message[]): string {
  const last = messages.findLast(({ role }) => role === Role.USER);
  return (last?.content ?? [])
    .map(({ block }) => (block.case === 'text' ? block.value : `(${block.case ?? ''})`))
    .join('\n');
}

async function watch(): Promise<void> {
  watching?.abort();
  view?.close();
  const streamId = chatId();
  chatCard.hidden = streamId === '';
  document.title = streamId === '' ? TITLE : `${streamId} · ${TITLE}`;
  if (streamId === '') return;
  const own = (watching = new AbortController());
  const { signal } = own;
  byId('chat-id', HTMLElement).textContent = streamId;
  byId('open-tab', HTMLAnchorElement).href = location.href;
  cancel.disabled = true;
  showText(question, '');
  view = openChatView();
  void refresh();
  try {
    void client
      .get(streamId, { full: true, signal })
      .then(({ request }) => showText(question, questionOf(request?.messages ?? [])))
      // Whatever is wrong is wrong with the observation too, and is said there.
      .catch(() => undefined);
    for await (const update of client.observe(streamId, { signal })) {
      if (signal.aborted) return;
      view.take(update);
    }
    view.over();
  } catch (thrown) {
    if (signal.aborted) return;
    view.over(say(thrown));
  }
  await refresh();
}

/** What is beside the chat; where it cannot be had, the chat's own errors say why. */
async function refresh(): Promise<void> {
  try {
    await loadRecent();
  } catch (thrown) {
    showText(startError, say(thrown));
  }
}

async function startChat(): Promise<void> {
  start.disabled = true;
  showText(startError, '');
  try {
    const limit = maxTokens.valueAsNumber;
    const { streamId } = await client.initiate({
      messages: [{ role: 'user', content: prompt.value }],
      ...(model.value === '' ? {} : { model: model.value }),
      ...(Number.isNaN(limit) ? {} : { maxTokens: limit }),
    });
    location.hash = encodeURIComponent(streamId);
  } catch (thrown) {
    showText(startError, say(thrown));
  } finally {
    start.disabled = false;
  }
}

async function copy(button: HTMLElement, text: string): Promise<void> {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    // Pages without TLS may not, but for loopback.
    button.textContent = 'Select and copy it by hand';
  }
  setTimeout(() => (button.textContent = label), COPIED_MS);
}

async function load(): Promise<void> {
  showText(startError, '');
  try {
    await Promise.all([loadModels(), loadRecent()]);
    tokenForm.hidden = true;
  } catch (thrown) {
    showText(startError, say(thrown));
  }
}

startForm.addEventListener('submit', (event) => {
  event.preventDefault();
  void startChat();
});
prompt.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) startForm.requestSubmit();
});
tokenForm.addEventListener('submit', (event) => {
  event.preventDefault();
  keepToken(token.value.trim());
  void load();
  void watch();
});
watchForm.addEventListener('submit', (event) => {
  event.preventDefault();
  const before = location.hash;
  location.hash = encodeURIComponent(watchId.value.trim());
  watchId.value = '';
  // Where it is the same, nothing else begins anew.
  if (location.hash === before) void watch();
  chatCard.scrollIntoView({ block: 'nearest' });
});
cancel.addEventListener('click', () => {
  cancel.disabled = true;
  client.cancel(chatId(), { reason: 'cancelled on the page' }).catch((thrown: unknown) => {
    cancel.disabled = false;
    view?.complain(say(thrown));
  });
});
byId('cut', HTMLButtonElement).addEventListener('click', () => network.cutFor(CUT_MS));
const copyId = byId('copy-id', HTMLButtonElement);
copyId.addEventListener('click', () => void copy(copyId, chatId()));
const copyLink = byId('copy-link', HTMLButtonElement);
copyLink.addEventListener('click', () => void copy(copyLink, location.href));
addEventListener('hashchange', () => void watch());
byId('origin', HTMLElement).textContent = location.origin;
if (navigator.platform.startsWith('Mac')) byId('start-keys', HTMLElement).textContent = '⌘ Enter';
void load();
void watch();
