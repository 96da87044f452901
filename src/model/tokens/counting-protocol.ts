// What the api process and its counting thread say to each other.
import type { TokenCount } from '../../chat/request/context-fit.ts';
import type { TokenizerName } from '../../chat/ports/model.ts';

export interface CountJob {
  readonly id: number;
  readonly tokenizer: TokenizerName;
  readonly texts: readonly string[];
  readonly limit: number;
  /** Counting that takes longer is given up. */
  readonly withinMs: number;
}

export interface CountReply {
  readonly id: number;
  readonly count: TokenCount | undefined;
}
