// Requests with a secret in every field that the contract marks with debug_redact. The fields are looked for
// here by a walk of the test's own, so that what the product overlooks is not overlooked here too.
import assert from 'node:assert/strict';
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { ReflectMessage } from '@bufbuild/protobuf/reflect';
import { reflect } from '@bufbuild/protobuf/reflect';
import { randomUUID } from 'node:crypto';
import { ChatRequestSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { InitiateChatStreamRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Logger } from '../../../src/chat/ports/logger.ts';
import type { Sealer } from '../../../src/chat/ports/sealing.ts';
import { acceptChat } from '../../../src/rpc/calls/initiate-chat-stream.ts';
import { initiateDeps, initiateRequest, type Ports, TENANT } from './chat-fixtures.ts';
import { SILENT } from '../processes/nats.ts';

/** The fields from InitiateChatStreamRequest to one that is marked. */
export type Way = readonly DescField[];

export function markedWays(from: DescMessage = InitiateChatStreamRequestSchema): readonly Way[] {
  const found: Way[] = [];
  walk(from, [], [from]);
  return found;

  function walk(desc: DescMessage, way: Way, above: readonly DescMessage[]): void {
    for (const field of desc.fields) {
      if (field.proto.options?.debugRedact === true) found.push([...way, field]);
      else if (field.message !== undefined && !above.includes(field.message)) {
        walk(field.message, [...way, field], [...above, field.message]);
      }
    }
  }
}

export interface Planted {
  readonly request: InitiateChatStreamRequest;
  /** By the name of the marked field with its message, as McpServer.headers. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** A header's name, which is no secret, is not looked for. */
const KEY = 'x-planted';

export function plantSecrets(init: Parameters<typeof initiateRequest>[0] = {}): Planted {
  const request = initiateRequest(init);
  const secrets = new Map<string, string>();
  for (const way of markedWays()) {
    const field = way.at(-1);
    assert.ok(field !== undefined);
    const secret = `planted-${randomUUID()}`;
    secrets.set(nameOf(field), secret);
    let inside: ReflectMessage = reflect(InitiateChatStreamRequestSchema, request);
    for (const step of way.slice(0, -1)) inside = into(inside, step);
    if (field.fieldKind === 'map') inside.get(field).set(KEY, secret);
    else if (field.fieldKind === 'list') inside.get(field).add(secret);
    else inside.set(field, secret);
  }
  return { request, secrets };
}

/** As a caller would write them in JSON, the marked field with this in it. */
export function asJson(way: Way, value: unknown): Record<string, unknown> {
  const [field, ...deeper] = way;
  assert.ok(field !== undefined);
  const inner = deeper.length === 0 ? value : asJson(deeper, value);
  return { [field.name]: deeper.length > 0 && field.fieldKind === 'list' ? [inner] : inner };
}

export function nameOf(field: DescField): string {
  return `${field.parent.name}.${field.name}`;
}

function into(inside: ReflectMessage, field: DescField): ReflectMessage {
  assert.ok(field.message !== undefined);
  if (field.fieldKind === 'message') {
    if (!inside.isSet(field)) inside.set(field, reflect(field.message));
    return inside.get(field);
  }
  assert.ok(field.fieldKind === 'list', `${nameOf(field)} is reached in no known way`);
  inside.get(field).add(reflect(field.message));
  // Its wrapper, by which what is set is set in the list.
  const added: unknown = [...inside.get(field)].at(-1);
  return added as ReflectMessage;
}

/** Starts a chat below the door, which refuses the fields that no tool honours yet. */
export function acceptPlanted(
  ports: Ports,
  request: InitiateChatStreamRequest,
  sealer: Sealer,
  logger: Logger = SILENT,
): ReturnType<typeof acceptChat> {
  const deps = { ...initiateDeps(ports), sealer, logger };
  const whole = { ...request, request: request.request ?? create(ChatRequestSchema) };
  return acceptChat(deps, TENANT, whole, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
}

/**
 * A secret as it would be found in bytes: as text, in hex, percent-encoded, which leaves these as they are,
 * and in base64, whatever stood before it.
 */
export function formsOf(secret: string): readonly Buffer[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].flatMap((before) => {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    // Without the characters that hold bits of what is beside it.
    const inner = shifted.slice(Math.ceil((before * 4) / 3), -4);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [secret, bytes.toString('hex'), ...base64].map((form) => Buffer.from(form));
}
