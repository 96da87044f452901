// What images and documents in a request must be: each broken rule is named by its path.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { contentViolations } from '../../src/chat/rules/content-rules.ts';
import { MAX_IMAGE_BYTES } from '../../src/chat/limits.ts';
import { imageTypeOf, parseMediaType } from '../../src/chat/media-type.ts';
import { DOCX, GIF, JPEG, PNG, WEBP } from '../support/chats/content.ts';

type Block = MessageInitShape<typeof ContentBlockSchema>;

function asking(role: Role, ...content: readonly Block[]): ChatRequest {
  return create(ChatRequestSchema, { messages: [{ role, content: [...content] }] });
}

function image(data: Uint8Array, mediaType: string): Block {
  return { block: { case: 'image', value: { source: { case: 'data', value: data }, mediaType } } };
}

function document(data: Uint8Array, mediaType: string): Block {
  return {
    block: { case: 'document', value: { source: { case: 'data', value: data }, mediaType } },
  };
}

function linked(url: string, mediaType = ''): Block {
  return { block: { case: 'image', value: { source: { case: 'url', value: url }, mediaType } } };
}

function lying(url: string, mediaType = ''): Block {
  const source = { case: 'url' as const, value: url };
  return { block: { case: 'document', value: { source, mediaType } } };
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const large = Buffer.concat([PNG, Buffer.alloc(MAX_IMAGE_BYTES)]);

test('the four kinds of images are known by their bytes', () => {
  assert.equal(imageTypeOf(PNG), 'image/png');
  assert.equal(imageTypeOf(JPEG), 'image/jpeg');
  assert.equal(imageTypeOf(WEBP), 'image/webp');
  assert.equal(imageTypeOf(GIF), 'image/gif');
  assert.equal(imageTypeOf(bytes('BM')), undefined);
  assert.equal(imageTypeOf(new Uint8Array()), undefined);
});

test('a media type is read with its charset, whatever its case and quotes', () => {
  assert.deepEqual(parseMediaType('Text/CSV; header=present; Charset="windows-1252"'), {
    name: 'text/csv',
    charset: 'windows-1252',
  });
  assert.deepEqual(parseMediaType('image/png'), { name: 'image/png', charset: undefined });
  assert.equal(parseMediaType('png'), undefined);
});

const GOOD: readonly (readonly [string, Block])[] = [
  ['png', image(PNG, 'image/png')],
  ['jpeg', image(JPEG, 'IMAGE/JPEG')],
  ['jpg, as many say', image(JPEG, 'image/jpg')],
  ['webp', image(WEBP, 'image/webp')],
  ['gif', image(GIF, 'image/gif')],
  ['an address', linked('https://a.example/b.png?c=d')],
  ['pdf', document(bytes('%PDF-1.4'), 'application/pdf')],
  ['pdf behind other bytes', document(bytes('\n\n%PDF-1.4'), 'application/pdf')],
  ['docx', document(bytes('PK\x03\x04'), DOCX)],
  ['a text that speaks of PDF', document(bytes('# What %PDF-1.4 means'), 'text/markdown')],
  ['any text', document(bytes('a = 1'), 'text/x-python')],
  ['by url', lying('https://a.example/b.pdf')],
  ['by url, said to be a PDF', lying('http://a.example', 'application/pdf')],
  ['csv', document(bytes('a;b'), 'text/csv; charset=windows-1252')],
];

test('what is right is taken', () => {
  for (const [name, block] of GOOD) {
    assert.deepEqual(contentViolations(asking(Role.USER, block)), [], name);
  }
});

const BAD: readonly (readonly [Block, string, RegExp])[] = [
  [image(PNG, ''), 'image.media_type', /^is missing; with data it is image\/png$/],
  [
    image(PNG, 'image/jpeg'),
    'image.media_type',
    /^is "image\/jpeg", and the bytes are image\/png$/,
  ],
  [image(PNG, 'png'), 'image.media_type', /^is "png", and the bytes are image\/png$/],
  [image(bytes('BM'), 'image/bmp'), 'image.data', /they take image\/png, image\/jpeg, image\/webp/],
  [image(large, 'image/png'), 'image.data', /^has \d+ bytes; an image may have 5242880$/],
  [linked('ftp://a.example/b.png'), 'image.url', /^must be an http or https address$/],
  [linked('data:image/png;base64,AAAA'), 'image.url', /put the bytes of a data: address into data/],
  [linked('https://a.example/b', 'image/png'), 'image.media_type', /^is for data; with url leave/],
  [document(bytes('a'), ''), 'document.media_type', /^is missing; with data it is one of app/],
  [
    document(bytes('a'), 'application/msword'),
    'document.media_type',
    /which cannot be read; these/,
  ],
  [
    document(bytes('a'), 'application/pdf'),
    'document.data',
    /^is not a PDF, while media_type says/,
  ],
  [document(bytes('%PDF-1.4'), 'text/plain'), 'document.data', /^is a PDF, while media_type says/],
  [
    document(bytes('PK\x03\x04'), 'application/pdf'),
    'document.data',
    /^is a ZIP, while media_type/,
  ],
  [
    document(bytes('\xd0\xcf\x11\xe0'), DOCX),
    'document.data',
    /^is an Office file of before 2007 or with a password, while .*; save it as DOCX without a pass/,
  ],
  [lying('ftp://a.example/b'), 'document.url', /^must be an http or https address$/],
  [lying('data:text/plain,hi'), 'document.url', /put the bytes of a data: address into data$/],
  [
    lying('https://a.example', 'image/png'),
    'document.media_type',
    /^is "image\/png", which cannot/,
  ],
  [
    { block: { case: 'document', value: { source: { case: 'text', value: ' \n' } } } },
    'document.text',
    /^is empty/,
  ],
  [
    {
      block: {
        case: 'image',
        value: {
          source: { case: 'data', value: PNG },
          mediaType: 'image/png',
          original: { sizeBytes: 1 },
        },
      },
    },
    'image.original',
    /^is only in answers; send the bytes in data$/,
  ],
];

test('what is wrong is named by its path, with what would be right', () => {
  for (const [block, path, said] of BAD) {
    const [violation, ...more] = contentViolations(asking(Role.USER, block));
    assert.deepEqual(more, [], path);
    assert.equal(violation?.path, `request.messages[0].content[0].${path}`);
    assert.match(violation.description, said);
  }
});

test('images and documents belong to the user', () => {
  const both = asking(Role.ASSISTANT, image(PNG, 'image/png'), document(bytes('a'), 'text/plain'));
  assert.deepEqual(
    contentViolations(both).map(({ path }) => path),
    ['request.messages[0].content[0].image', 'request.messages[0].content[1].document'],
  );
});

test('more images or documents than there may be are refused with both numbers', () => {
  const images = Array.from({ length: 101 }, () => linked('https://a.example/b.png'));
  const documents = Array.from({ length: 101 }, () => document(bytes('a'), 'text/plain'));
  const found = contentViolations(asking(Role.USER, ...images, ...documents));
  assert.deepEqual(
    found.map(({ description }) => description),
    ['have 101 images; at most 100 are taken', 'have 101 documents; at most 100 are taken'],
  );
});
