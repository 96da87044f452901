// The answer's parts as they grow: text, reasoning, tool calls with their results, citations.
import type { AnswerPart, ContentBlock } from '../clients/typescript/src/tailrace.ts';
import { element, growText } from './element.ts';

/** Brings the element up to the parts; what has not changed is left alone. */
export function showAnswer(target: HTMLElement, parts: readonly AnswerPart[], shown: Shown): void {
  const wasAtEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 8;
  parts.forEach((part, at) => {
    const before = shown.views[at];
    if (before?.part === part) return;
    if (before?.part.kind === part.kind && before.part.index === part.index) {
      before.update(part);
      before.part = part;
      return;
    }
    before?.root.remove();
    const view = viewOf(part);
    shown.views[at] = view;
    target.insertBefore(view.root, target.children[at] ?? null);
  });
  for (const { root } of shown.views.splice(parts.length)) root.remove();
  if (wasAtEnd) target.scrollTop = target.scrollHeight;
}

export interface Shown {
  readonly views: View[];
}

interface View {
  part: AnswerPart;
  readonly root: HTMLElement;
  readonly update: (part: AnswerPart) => void;
}

function viewOf(part: AnswerPart): View {
  const view = emptyView(part);
  view.update(part);
  return view;
}

function emptyView(part: AnswerPart): View {
  switch (part.kind) {
    case 'text': {
      const text = element('span');
      const citations = element('ol', 'citations');
      citations.hidden = true;
      return {
        part,
        root: element('div', 'text', text, citations),
        update: (now) => {
          if (now.kind !== 'text') return;
          growText(text, now.text);
          citations.hidden = now.citations.length === 0;
          citations.replaceChildren(
            ...now.citations.map(({ document, quote }) =>
              element('li', '', quote === '' ? document : `${document}: “${quote}”`),
            ),
          );
        },
      };
    }
    case 'thinking': {
      const text = element('div', 'text');
      return {
        part,
        root: element('details', 'part', element('summary', '', 'Reasoning'), text),
        update: (now) => {
          if (now.kind === 'thinking') growText(text, now.text);
        },
      };
    }
    case 'toolUse': {
      const input = element('code', 'json');
      const cut = element('span');
      const by = part.by === 'client' ? 'its client’s tool' : 'Tailrace’s tool';
      const of = part.server === '' ? by : `a tool of the MCP server ${part.server}`;
      return {
        part,
        root: element(
          'div',
          'part',
          'The model calls ',
          element('b', '', part.name),
          `, ${of}`,
          input,
          cut,
        ),
        update: (now) => {
          if (now.kind !== 'toolUse') return;
          growText(input, now.input);
          if (now.incomplete) cut.textContent = ' (cut off)';
        },
      };
    }
    case 'toolResult': {
      const title = element('summary');
      const text = element('code', 'json');
      return {
        part,
        root: element('details', 'part', title, text),
        update: (now) => {
          if (now.kind !== 'toolResult') return;
          const result = now.isError ? 'The tool failed' : 'The tool answered';
          title.textContent = now.done ? result : 'The tool works …';
          text.textContent = now.content.map(textOf).join('\n');
        },
      };
    }
  }
}

function textOf({ block }: ContentBlock): string {
  return block.case === 'text' ? block.value : `(${block.case ?? 'nothing'})`;
}
