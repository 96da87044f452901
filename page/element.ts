// The page's hands on its document. Only text is ever put into it, never markup: whatever a model says stays text.

/** What index.html has under this id. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`index.html has no ${type.name} with the id ${id}`);
}

export function element(tag: string, className = '', ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** Shows the text, or hides the element where there is none. */
export function showText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
  target.hidden = text === '';
}

/** Text that grows is added to and not written anew, so that a selection stays. */
export function growText(target: HTMLElement, text: string): void {
  const node = target.firstChild;
  if (node instanceof Text && text.startsWith(node.data)) node.appendData(text.slice(node.length));
  else target.textContent = text;
}
