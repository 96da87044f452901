// One streamed answer by its script: deltas at their time, and the faults at their place.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Pacer, Scheduled } from './pacer.ts';
import { type Break, breakOf, callDeltas, type Script } from './script.ts';
import { createWire } from './wire.ts';

/** Unpaced deltas that are written together. */
const BATCH_TOKENS = 64;

export interface GenerationInput {
  readonly id: string;
  readonly model: string;
  readonly maxTokens: number | undefined;
  readonly promptTokens: number;
  readonly includeUsage: boolean;
}

/** Runs until the answer is out, or until `socket` closes. */
export function generate(
  script: Script,
  input: GenerationInput,
  response: ServerResponse,
  socket: Socket,
  pacer: Pacer,
): void {
  const eol = script.line_end;
  const frame = { id: input.id, object: 'chat.completion.chunk', created: 0, model: input.model };
  const wanted = script.fault === 'endless' ? Number.POSITIVE_INFINITY : tokensOf(script);
  const tokens = Math.min(wanted, input.maxTokens ?? wanted);
  const fault = breakOf(script);
  const breakAt = fault === undefined ? -1 : (script.after ?? Math.floor(tokens / 2));
  const textField = script.refusal ? 'refusal' : 'content';
  const textHead = head(textField);
  const thinkingHead = head(script.thinking_field);
  const tail = `"},"finish_reason":null}]${usagePart(script.usage === 'every')}}${eol}${eol}`;

  let scheduled: Scheduled | undefined;
  let comments: NodeJS.Timeout | undefined;
  let over = false;
  let thought = 0;
  let sent = 0;
  let startedAt = 0;

  response.once('close', () => {
    over = true;
    scheduled?.cancel();
    clearInterval(comments);
  });
  response.writeHead(200, {
    'content-type': script.content_type,
    'cache-control': 'no-cache',
    ...(script.encoding === 'identity' ? {} : { 'content-encoding': script.encoding }),
  });
  const wire = createWire(response, socket, script);
  if (script.comment_ms !== undefined) {
    comments = setInterval(() => wire.write(`: PROCESSING${eol}${eol}`), script.comment_ms);
  }
  if (script.first_ms > 0) later(performance.now() + script.first_ms, begin);
  else begin();

  function begin(): void {
    startedAt = performance.now();
    if (script.raw !== undefined) {
      wire.write(script.raw);
      return end();
    }
    if (script.usage === 'only') {
      wire.write(usageEvent());
      return finishStream();
    }
    wire.write(event({ role: 'assistant', content: '' }, null));
    step();
  }

  function step(): void {
    if (over) return;
    const due =
      script.interval_ms === 0
        ? thought + sent + BATCH_TOKENS
        : Math.floor((performance.now() - startedAt) / script.interval_ms) + 1;
    let text = '';
    while (thought + sent < due && thought < script.thinking) {
      text += thinkingHead + delta(thought) + tail;
      thought += 1;
    }
    while (thought + sent < due && sent < tokens && sent !== breakAt) {
      text += textHead + delta(sent) + tail;
      sent += 1;
    }
    const fits = text === '' || wire.write(text);
    const thinkingIsOver = thought === script.thinking;
    if (thinkingIsOver && fault !== undefined && sent === breakAt) return breakHere(fault);
    if (thinkingIsOver && sent >= tokens) return finish();
    if (!fits) wire.onDrain(step);
    else if (script.interval_ms === 0) setImmediate(step);
    else later(startedAt + (thought + sent) * script.interval_ms, step);
  }

  function delta(n: number): string {
    if (script.text !== undefined) return JSON.stringify(script.text[n]).slice(1, -1);
    const stamp = `${n}:${Math.round((performance.timeOrigin + performance.now()) * 1_000)} `;
    return script.delta_bytes === undefined ? stamp : stamp.padEnd(script.delta_bytes, '.');
  }

  function breakHere(how: Break): void {
    switch (how) {
      case 'cut':
        wire.cut();
        return;
      case 'cut_in_character': {
        const line = Buffer.from(`${textHead}wörld${tail}`);
        wire.write(line.subarray(0, line.indexOf(0xc3) + 1));
        wire.cut();
        return;
      }
      case 'reset':
        socket.resetAndDestroy();
        return;
      case 'end':
        end();
        return;
      case 'silence':
        return;
      case 'error_in_stream':
        wire.write(`data: ${JSON.stringify({ error: script.error ?? { code: 500 } })}${eol}${eol}`);
        end();
        return;
      case 'bad_json':
        wire.write(`data: {"choices":[{"delta":{"content":"half${eol}${eol}`);
        end();
        return;
    }
  }

  function finish(): void {
    for (const piece of callDeltas(script)) wire.write(event({ tool_calls: [piece] }, null));
    if (script.fault !== 'no_finish') {
      const limited = tokens < wanted;
      wire.write(event({}, limited ? 'length' : finishOf(script)));
      if (script.fault === 'finish_twice') wire.write(event({}, 'length'));
    }
    if (script.usage === 'last' && input.includeUsage) wire.write(usageEvent());
    finishStream();
  }

  function finishStream(): void {
    if (script.fault === 'open_after_finish') return;
    if (script.fault !== 'no_done') wire.write(`data: [DONE]${eol}${eol}`);
    if (script.fault !== 'open_after_done') end();
  }

  function end(): void {
    clearInterval(comments);
    over = true;
    wire.end();
  }

  function later(at: number, run: () => void): void {
    scheduled = pacer.at(at, run);
  }

  /** The start of a delta's event up to its text: made once, for there are many. */
  function head(field: string): string {
    const json = JSON.stringify({ ...frame, choices: [{ index: 0, delta: { [field]: '' } }] });
    return `data: ${json.slice(0, json.length - '"}}]}'.length)}`;
  }

  function event(part: Record<string, unknown>, finishReason: string | null): string {
    const choice = {
      index: 0,
      delta: part,
      finish_reason: finishReason,
      ...(finishReason === null || script.stop_reason === undefined
        ? {}
        : { stop_reason: script.stop_reason }),
      ...(finishReason === null || script.matched_stop === undefined
        ? {}
        : { matched_stop: script.matched_stop }),
    };
    const json = JSON.stringify({ ...frame, choices: [choice] }).slice(0, -1);
    const withUsage = script.usage === 'with_finish' && finishReason !== null;
    return `data: ${json}${usagePart(withUsage || script.usage === 'every')}}${eol}${eol}`;
  }

  function usageEvent(): string {
    const json = JSON.stringify({ ...frame, choices: [], usage: usage() });
    return `data: ${json}${eol}${eol}`;
  }

  function usagePart(present: boolean): string {
    return present ? `,"usage":${JSON.stringify(usage())}` : '';
  }

  function usage(): Record<string, unknown> {
    return {
      prompt_tokens: input.promptTokens,
      completion_tokens: script.thinking + (Number.isFinite(tokens) ? tokens : 0),
      completion_tokens_details: { reasoning_tokens: script.thinking },
      prompt_tokens_details: { cached_tokens: 1 },
    };
  }
}

function finishOf({ finish, calls }: Script): string {
  return finish ?? (calls.length > 0 ? 'tool_calls' : 'stop');
}

function tokensOf(script: Script): number {
  return script.text?.length ?? script.tokens;
}
