// The port to an embeddings endpoint: texts to vectors whose direction is their meaning. What is done with
// them does not belong here.

export interface Embedder {
  /** The most texts in one call. */
  readonly batchSize: number;
  /**
   * A vector of length 1 for each text; all have as many dimensions. `kind`: of what is searched, or of what
   * is looked for. Rejects with a ModelFailure, or with the signal's reason after an abort.
   */
  readonly embed: (
    kind: 'passage' | 'query',
    texts: readonly string[],
    call: { readonly signal: AbortSignal; readonly traceparent: string },
  ) => Promise<readonly Float32Array[]>;
}
