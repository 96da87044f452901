// Looks for a mark in everything that NATS and the api give: by sequence, by direct get, by a consumer, by
// every rpc that reads. The chats that were kept are the control: theirs must be found.
import { toBinary } from '@bufbuild/protobuf';
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { ChatStreamView } from '../gen/tailrace/v1/chat_stream_pb.ts';
import { ListChatStreamsResponseSchema } from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Cluster } from '../test/chaos/cluster.ts';
import type { ChatClient } from '../test/support/clients.ts';

interface Searched {
  readonly cluster: Cluster;
  readonly client: ChatClient;
  readonly mark: string;
  readonly deleted: readonly string[];
  readonly kept: readonly string[];
}

/** Records with the mark. */
interface Found {
  deleted: number;
  kept: number;
}

/** False: something of a deleted chat was found, or nothing of a kept one. */
export async function searchReadable(searched: Searched): Promise<boolean> {
  const { cluster } = searched;
  await using nc = await connect({ servers: cluster.nats.map(({ url }) => url) });
  const found: Found[] = [];
  for (const stream of ['COMMANDS', 'EVENTS']) {
    const ways = {
      'by sequence': await bySequence(nc, stream, searched),
      'by direct get': await byDirectGet(nc, stream, searched),
      'by a consumer': await byConsumer(nc, stream, searched),
    };
    for (const [way, { deleted, kept }] of Object.entries(ways)) {
      console.log(`${stream} ${way}: ${deleted} records of deleted chats, ${kept} of kept ones`);
    }
    found.push(...Object.values(ways));
  }
  const byApi = await readable(searched);
  console.log(
    `api: ${byApi.deleted} answers with the mark about deleted chats, ${byApi.kept} about kept ones`,
  );
  found.push(byApi);
  return found.every(({ deleted, kept }) => deleted === 0 && kept > 0);
}

function note(found: Found, searched: Searched, subject: string, text: string): void {
  if (!text.includes(searched.mark)) return;
  if (searched.deleted.some((id) => subject.includes(id))) found.deleted++;
  else found.kept++;
}

async function bounds(nc: NatsConnection, stream: string): Promise<readonly [number, number]> {
  const info = (await api(nc, `STREAM.INFO.${stream}`)) as {
    state: { first_seq: number; last_seq: number };
  };
  return [info.state.first_seq, info.state.last_seq];
}

async function bySequence(nc: NatsConnection, stream: string, searched: Searched): Promise<Found> {
  const found: Found = { deleted: 0, kept: 0 };
  const [first, last] = await bounds(nc, stream);
  for (let seq = first; seq <= last; seq++) {
    const { message } = (await api(nc, `STREAM.MSG.GET.${stream}`, { seq })) as {
      message?: { data?: string; hdrs?: string; subject: string };
    };
    if (message === undefined) continue;
    const parts = [message.data ?? '', message.hdrs ?? ''];
    const text = parts.map((part) => Buffer.from(part, 'base64').toString('latin1')).join();
    note(found, searched, message.subject, text);
  }
  return found;
}

async function byDirectGet(nc: NatsConnection, stream: string, searched: Searched): Promise<Found> {
  const found: Found = { deleted: 0, kept: 0 };
  const [first, last] = await bounds(nc, stream);
  for (let seq = first; seq <= last; seq++) {
    const msg = await nc.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ seq }));
    const subject = msg.headers?.get('Nats-Subject') ?? '';
    note(found, searched, subject, wholeText(msg));
  }
  return found;
}

async function byConsumer(nc: NatsConnection, stream: string, searched: Searched): Promise<Found> {
  const found: Found = { deleted: 0, kept: 0 };
  const inbox = `_INBOX.erasure.${randomUUID()}`;
  const drained = Promise.withResolvers<void>();
  nc.subscribe(inbox, {
    callback: (error, msg) => {
      if (error !== null) return drained.reject(error);
      note(found, searched, msg.subject, wholeText(msg));
      // The last part of an acknowledgement's subject is how many are still to come.
      if (msg.reply?.endsWith('.0') === true) drained.resolve();
    },
  });
  const config = {
    deliver_subject: inbox,
    deliver_policy: 'all',
    ack_policy: 'none',
    inactive_threshold: 60_000_000_000,
  };
  await api(nc, `CONSUMER.CREATE.${stream}`, { stream_name: stream, config });
  await drained.promise;
  return found;
}

async function readable({ client, mark, deleted, kept }: Searched): Promise<Found> {
  const found: Found = { deleted: 0, kept: 0 };
  for (const [which, ids] of [
    ['deleted', deleted],
    ['kept', kept],
  ] as const) {
    for (const streamId of ids) {
      const answers = await Promise.allSettled([
        client.getChatStream({ streamId, view: ChatStreamView.FULL }),
        firstOf(client.observeChatStream({ streamId })),
      ]);
      // For a deleted chat any answer at all is one too many.
      found[which] += answers.filter(({ status }) => status === 'fulfilled').length;
    }
  }
  let pageToken = '';
  do {
    const page = await client.listChatStreams({ pageSize: 500, pageToken });
    for (const { streamId, metadata } of page.chatStreams) {
      if (deleted.includes(streamId)) found.deleted++;
      else if (Object.values(metadata).join().includes(mark)) found.kept++;
    }
    const bytes = toBinary(ListChatStreamsResponseSchema, page);
    const marks = count(Buffer.from(bytes).toString('latin1'), mark);
    if (marks > page.chatStreams.length) found.deleted += marks - page.chatStreams.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

export function count(text: string, word: string): number {
  return text.split(word).length - 1;
}

function wholeText(msg: { readonly data: Uint8Array; readonly headers?: MsgHdrs }): string {
  const headers = msg.headers?.keys().flatMap((key) => [key, ...(msg.headers?.values(key) ?? [])]);
  return `${(headers ?? []).join()}${Buffer.from(msg.data).toString('latin1')}`;
}

async function firstOf<T>(messages: AsyncIterable<T>): Promise<T | undefined> {
  for await (const message of messages) return message;
  return undefined;
}

async function api(nc: NatsConnection, subject: string, body: unknown = {}): Promise<unknown> {
  return (await nc.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 20_000 })).json();
}
