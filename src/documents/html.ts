// HTML to text that keeps headings, lists, tables and links, and nothing that a browser would not show.
import { convert, type FormatCallback, type HtmlToTextOptions } from 'html-to-text';
import { MAX_HTML_DEPTH } from '../chat/limits.ts';
import { decodeText } from './decode-text.ts';
import { table } from './html-tables.ts';
import { Unreadable } from './unreadable.ts';

/** Where a page says its own charset, within what browsers look at. */
const PRESCAN_BYTES = 1_024;

export function htmlText(
  bytes: Uint8Array,
  charset: string | undefined,
): { readonly text: string; readonly title: string } {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PRESCAN_BYTES));
  const said = /<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)/i.exec(head.toString('latin1'))?.[1];
  // A page that can be read as ASCII so far and says utf-16 is not: browsers take it as UTF-8 too.
  const own = said !== undefined && /^utf-?16/i.test(said) ? undefined : said;
  const html = decodeText(bytes, charset ?? own);
  if (deepestOf(html) > MAX_HTML_DEPTH) throw new Unreadable(TOO_DEEP);
  return { text: textOfHtml(html), title: convert(html, TITLE).slice(0, MAX_TITLE_CHARS) };
}

export function textOfHtml(html: string): string {
  return convert(html, OPTIONS);
}

const TOO_DEEP = `has more than ${MAX_HTML_DEPTH} elements open inside each other, the most that is read; send its text`;

/** They have no end tag. */
const VOID =
  /^(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|p|li|td|th|tr|dt|dd|option)$/i;

/**
 * How deep elements lie in each other at the most, or more: ends that may be left out count as there. What
 * the parser does is quadratic in it; this is one pass.
 */
function deepestOf(html: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = html.indexOf('<'); at !== -1; at = html.indexOf('<', at + 1)) {
    const name = /^\/?[a-z][a-z0-9]*/i.exec(html.slice(at + 1, at + 1 + LONGEST_NAME))?.[0];
    if (name === undefined || VOID.test(name)) continue;
    depth = name.startsWith('/') ? Math.max(0, depth - 1) : depth + 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** Longer ones are none of HTML's own, and are told apart all the same. */
const LONGEST_NAME = 16;

const heading: FormatCallback = (element, walk, builder) => {
  const level = Number(String(element.name).slice(1));
  builder.openBlock({ leadingLineBreaks: 2 });
  builder.addInline(`${'#'.repeat(level)} `);
  walk(element.children, builder);
  builder.closeBlock({ trailingLineBreaks: 2 });
};

const alternative: FormatCallback = (element, _walk, builder) => {
  const attributes: unknown = element.attribs;
  const alt: unknown =
    typeof attributes === 'object' && attributes !== null ? Reflect.get(attributes, 'alt') : '';
  if (typeof alt === 'string' && alt.trim() !== '') builder.addInline(`[image: ${alt}]`);
};

const UNSEEN = [
  'title',
  'noscript',
  'template',
  'iframe',
  'object',
  'svg',
  'canvas',
  'audio',
  'video',
];

const MAX_TITLE_CHARS = 1_024;

const TITLE: HtmlToTextOptions = {
  wordwrap: false,
  baseElements: { selectors: ['title'], returnDomByDefault: false },
  limits: { maxInputLength: Number.MAX_SAFE_INTEGER, maxBaseElements: 1 },
};

const OPTIONS: HtmlToTextOptions = {
  wordwrap: false,
  formatters: { heading, alternative, grid: table },
  limits: { maxInputLength: Number.MAX_SAFE_INTEGER },
  selectors: [
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, format: 'heading' })),
    ...UNSEEN.map((selector) => ({ selector, format: 'skip' })),
    { selector: 'img', format: 'alternative' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, noAnchorUrl: true } },
    { selector: 'table', format: 'grid' },
  ],
};
