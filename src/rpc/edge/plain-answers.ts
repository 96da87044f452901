// Answers to requests that are no rpc of this server: the front page, unknown paths, wrong methods
// and content types. Each in the form that who asked can read.
import type { DescMethod } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { grpcMessage } from './errors.ts';
import type { HttpRequest, HttpResponse } from './listener.ts';
import { acceptedTypes, allowsGet } from './wire-form.ts';

export function frontPage(req: HttpRequest, res: HttpResponse): void {
  const authority = 'authority' in req && req.authority ? req.authority : req.headers.host;
  const base = `http://${authority ?? 'localhost'}`;
  plain(
    res,
    200,
    `This is Tailrace: it runs LLM chats in the background and lets anyone with the id watch them.
One port speaks gRPC, gRPC-Web and Connect. With a tokens file, send "Authorization: Bearer <token>".

Start a chat:
  curl ${base}/tailrace.v1.ChatStreamService/InitiateChatStream -H 'content-type: application/json' \\
    -d '{"request":{"messages":[{"role":"ROLE_USER","content":[{"text":"hi"}]}]}}'
Wait for its answer:
  curl ${base}/tailrace.v1.ChatStreamService/WaitChatStream -H 'content-type: application/json' \\
    -d '{"stream_id":"<stream_id>","view":"CHAT_STREAM_VIEW_FULL"}'
Watch it:
  grpcurl -plaintext -d '{"stream_id":"<stream_id>"}' ${authority ?? 'localhost'} \\
    tailrace.v1.ChatStreamService/ObserveChatStream
Everything it can do:
  grpcurl -plaintext ${authority ?? 'localhost'} describe tailrace.v1.ChatStreamService
`,
  );
}

/** No rpc has this path. */
export function unknownPath(req: HttpRequest, res: HttpResponse): void {
  const path = (req.url ?? '').split('?', 1)[0] ?? '';
  const sentence = `There is nothing at ${path.slice(0, 200).toWellFormed()}; GET / says what is here.`;
  const type = req.headers['content-type'] ?? '';
  if (type.startsWith('application/grpc')) {
    // By setHeader: a head that is also the trailer is what gRPC clients understand here.
    res.statusCode = 200;
    res.setHeader(
      'content-type',
      type.startsWith('application/grpc-web') ? type : 'application/grpc',
    );
    res.setHeader('grpc-status', String(Code.Unimplemented));
    res.setHeader('grpc-message', grpcMessage(sentence));
    res.end();
  } else if (/^application\/(connect\+)?(json|proto)/.test(type)) {
    res.writeHead(404, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ code: 'unimplemented', message: sentence }));
  } else {
    plain(res, 404, `${sentence}\n`);
  }
}

export function wrongMethod(method: DescMethod, res: HttpResponse): void {
  res.setHeader('allow', allowsGet(method) ? 'POST, GET' : 'POST');
  plain(res, 405, `${method.name} is called by POST${allowsGet(method) ? ' or GET' : ''}.\n`);
}

export function wrongContentType(method: DescMethod, res: HttpResponse): void {
  const types = acceptedTypes(method);
  res.setHeader('accept-post', types.join(', '));
  const streams =
    method.methodKind === 'unary' ? '' : ' It streams; each message comes in a frame of its own.';
  plain(res, 415, `${method.name} takes these content types: ${types.join(', ')}.${streams}\n`);
}

export function wrongQuery(method: DescMethod, res: HttpResponse): void {
  plain(
    res,
    415,
    `${method.name} by GET wants a query such as ?encoding=json&message=%7B%7D (the message in JSON).\n`,
  );
}

/** For what is so broken that no protocol can be told. */
export function badRequest(res: HttpResponse): void {
  plain(res, 400, 'This request has no host or no path that can be read.\n');
}

function plain(res: HttpResponse, status: number, text: string): void {
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  res.end(text);
}
