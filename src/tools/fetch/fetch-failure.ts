// Why an address was not fetched, in words that go on after it: "request.….url: …", "The page …". They say
// nothing of what lies behind an address that may not be fetched.
export class FetchFailure extends Error {
  constructor(words: string, options: { readonly cause?: unknown } = {}) {
    super(words, options);
    this.name = 'FetchFailure';
  }
}
