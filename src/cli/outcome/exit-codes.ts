// What the exit code of `tailrace` says. docs/CLI.md has the same table, and a test holds it to this one.

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  unreachable: 5,
  conflict: 6,
  exhausted: 7,
  chatFailed: 10,
  chatCancelled: 11,
  chatNotOver: 12,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.ok, 'done'],
  [EXIT.failed, 'failed, and none of the below says how'],
  [EXIT.usage, 'wrong usage: a flag, a file, or a request that breaks a rule'],
  [EXIT.notFound, 'there is no such chat for this token'],
  [EXIT.notAllowed, 'no token, one that is not known, or one without that right'],
  [EXIT.unreachable, 'Tailrace, or what it needs, cannot be reached now; may be repeated'],
  [EXIT.conflict, 'the id is taken, or the state of the chat forbids it'],
  [EXIT.exhausted, 'a limit is reached: queue, store, size or observers'],
  [EXIT.chatFailed, 'the chat ended as FAILED or ERROR'],
  [EXIT.chatCancelled, 'the chat ended as CANCELLED'],
  [EXIT.chatNotOver, 'the chat is not at its end: time is over, or it waits for tool results'],
  [EXIT.interrupted, 'interrupted by Ctrl-C'],
];
