// What a call of a tool tells of its progress, as events: the first at once, then the newest once a second, so many in
// all. A tool may tell a thousand times a second; the log has what people can follow.
import {
  MAX_TOOL_PROGRESS_CHARS,
  MAX_TOOL_PROGRESS_EVENTS,
  TOOL_PROGRESS_EVERY_MS,
} from '../../chat/limits.ts';
import type { EventPayload } from '../../chat/decisions/terminal.ts';
import type { ToolProgress } from '../../chat/ports/tool.ts';

export interface ProgressTold {
  readonly tell: (progress: ToolProgress) => void;
  /** The call is over: nothing is told any more, and what has waited is stale. */
  readonly end: () => void;
}

/** `index`: of the block that the call will come to. */
export function progressEvents(
  { index, toolUseId }: { readonly index: number; readonly toolUseId: string },
  push: (event: EventPayload) => void,
): ProgressTold {
  let left = MAX_TOOL_PROGRESS_EVENTS;
  let newest: ToolProgress | undefined;
  let timer: NodeJS.Timeout | undefined;
  const say = (): void => {
    timer = undefined;
    if (newest === undefined || left === 0) return;
    left--;
    const { progress, total, message } = newest;
    newest = undefined;
    const value = {
      index,
      toolUseId,
      progress,
      ...(total === undefined ? {} : { total }),
      message: message.slice(0, MAX_TOOL_PROGRESS_CHARS).toWellFormed(),
    };
    push({ case: 'toolProgress', value });
    timer = setTimeout(say, TOOL_PROGRESS_EVERY_MS);
  };
  return {
    tell: (progress) => {
      newest = progress;
      if (timer === undefined) say();
    },
    end: () => {
      left = 0;
      clearTimeout(timer);
    },
  };
}
