// The token in this tab: kept over a reload where the browser keeps anything, else as long as the page is there.
const NAME = 'tailrace-token';

let here = '';

export function keptToken(): string {
  try {
    return sessionStorage.getItem(NAME) ?? here;
  } catch {
    // The browser was told to keep nothing, and then even asking throws.
    return here;
  }
}

export function keepToken(token: string): void {
  here = token;
  try {
    sessionStorage.setItem(NAME, token);
  } catch {
    // It is kept here.
  }
}
