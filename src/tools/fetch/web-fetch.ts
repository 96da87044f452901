// The tool web_fetch: reads a page of the web, or a document there, as text for the model.
import type { ChatKey } from '../../chat/chat-key.ts';
import type { DocumentReader, DocumentReading } from '../../chat/ports/document.ts';
import { ChatError } from '../../chat/errors.ts';
import { MAX_URL_CHARS, MAX_WEB_PAGE_CHARS, MAX_WEB_PAGE_TITLE_CHARS } from '../../chat/limits.ts';
import { documentKindOf, parseMediaType } from '../../chat/media-type.ts';
import { type TextTool, ToolFailure } from '../../chat/ports/tool.ts';
import { FetchFailure } from './fetch-failure.ts';
import type { Fetched, GuardedFetch } from './guarded-fetch.ts';

export interface WebFetchParts {
  readonly fetch: GuardedFetch;
  readonly reader: DocumentReader;
}

export function webFetchTool({ fetch, reader }: WebFetchParts, chat: ChatKey): TextTool {
  return {
    name: 'web_fetch',
    description:
      'Reads the page at a public web address and answers with its title, the address that it was at in the end, and its text. Reads HTML, PDF, DOCX, Markdown, CSV, JSON and other text. It sends no login and runs no scripts. Use it when what is asked is at a known address; it does not search.',
    inputSchema: JSON.stringify({
      type: 'object',
      properties: {
        url: {
          type: 'string',
          minLength: 1,
          maxLength: MAX_URL_CHARS,
          description: 'The whole address, beginning with https:// or http://.',
        },
      },
      required: ['url'],
      additionalProperties: false,
    }),
    idempotent: true,
    call: async ({ url }, signal) => {
      // The schema says so; a caller that did not hold the input to it is a fault of ours.
      if (typeof url !== 'string') throw new Error('web_fetch was called without a url.');
      const page = await fetchPage(fetch, url, signal);
      return answerOf(page.url, await readPage(reader, page, chat, signal));
    },
  };
}

async function fetchPage(fetch: GuardedFetch, url: string, signal: AbortSignal): Promise<Fetched> {
  try {
    return await fetch(url, refusal, signal);
  } catch (error) {
    if (!(error instanceof FetchFailure)) throw error;
    throw new ToolFailure(`The address ${error.message}.`, { cause: error });
  }
}

function refusal(contentType: string): string | undefined {
  if (documentKindOf(parseMediaType(contentType)?.name ?? '') !== undefined) return undefined;
  const what = contentType === '' ? 'without a type' : `with "${contentType.slice(0, 100)}"`;
  return `answered ${what}, which cannot be read as text`;
}

type Readable = Extract<DocumentReading, { readonly text: string }>;

async function readPage(
  reader: DocumentReader,
  { contentType, data }: Fetched,
  chat: ChatKey,
  signal: AbortSignal,
): Promise<Readable> {
  const type = parseMediaType(contentType);
  const kind = documentKindOf(type?.name ?? '');
  if (kind === undefined) throw new Error('A page without a known media type was fetched.');
  if (data.length === 0) throw new ToolFailure('The page is empty.');
  let reading: DocumentReading;
  try {
    reading = await reader.read({ kind, data, charset: type?.charset }, chat, signal);
  } catch (error) {
    if (!(error instanceof ChatError) || error.reason !== 'QUEUE_FULL') throw error;
    throw new ToolFailure('Too many pages are read at the moment; try again later.', {
      cause: error,
    });
  }
  if ('text' in reading) return reading;
  // What follows is for whoever sends a document, and the model only reads this one.
  const [why = ''] = reading.unreadable.split('; ');
  throw new ToolFailure(`The page cannot be read: it ${why}.`);
}

function answerOf(url: string, { text, title = '' }: Readable): string {
  const called = title.replaceAll(/\s+/g, ' ').slice(0, MAX_WEB_PAGE_TITLE_CHARS);
  const head = [
    ...(called === '' ? [] : [`Title: ${called.toWellFormed()}`]),
    // A redirect may lead to one of any length.
    `Address: ${url.slice(0, MAX_URL_CHARS)}`,
  ];
  const cut = text.length > MAX_WEB_PAGE_CHARS;
  // A pair of surrogates is not cut in two.
  const shown = cut ? text.slice(0, MAX_WEB_PAGE_CHARS).replace(/[\uD800-\uDBFF]$/, '') : text;
  const note = `\n\n[The page goes on: these are ${shown.length} of its ${text.length} characters.]`;
  return `${head.join('\n')}\n\n${shown}${cut ? note : ''}`;
}
