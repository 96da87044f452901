// Why the embedded model cannot be had on this machine, what that means, and what can be done.
import type { ChildFailureReason } from './child-protocol.ts';

export class EmbeddedModelUnavailable extends Error {
  override readonly name = 'EmbeddedModelUnavailable';
  readonly reason: ChildFailureReason;

  constructor(reason: ChildFailureReason, message: string, options: { readonly cause: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

export function unavailable(
  reason: ChildFailureReason,
  detail: string,
  modelPath: string,
  cause?: unknown,
): EmbeddedModelUnavailable {
  return new EmbeddedModelUnavailable(reason, sentence(reason, detail, modelPath), { cause });
}

function sentence(reason: ChildFailureReason, detail: string, modelPath: string): string {
  const means = 'Without it there is no model to answer chats.';
  const choices =
    '`tailrace demo` sets it up; or set OPENAI_BASE_URL (and OPENAI_API_KEY) to use another model ' +
    'server.';
  switch (reason) {
    case 'PACKAGE_MISSING': {
      const machine = `${process.platform}-${process.arch}`;
      return (
        `The embedded model needs the npm package node-llama-cpp and its binary for ${machine}: ` +
        `${detail}. ${means} ${choices}`
      );
    }
    case 'MODEL_UNREADABLE':
      return (
        `The embedded model's file ${modelPath} cannot be used: ${detail}. ${means} ${choices} ` +
        `A file that is there but broken must be deleted first.`
      );
    case 'PORT_UNUSABLE':
      return `The embedded model cannot listen on its loopback port: ${detail}.`;
    case 'BROKEN':
      return `The embedded model's process does not start: ${detail}. ${means} ${choices}`;
  }
}
