// Stands in front of the test model server: what a page of docs/ asks in plain words becomes its script.
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PlainWords extends AsyncDisposable {
  /** For OPENAI_BASE_URL. */
  readonly url: string;
}

/** `scripts`: by the whole of a user's message. */
export async function startPlainWords(
  modelUrl: string,
  scripts: Readonly<Record<string, string>>,
): Promise<PlainWords> {
  const server = createServer((incoming, response) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    incoming.on('end', () => {
      for (const [words, script] of Object.entries(scripts)) {
        body = body.replaceAll(JSON.stringify(words), JSON.stringify(script));
      }
      const { pathname } = new URL(incoming.url ?? '', 'http://localhost');
      const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(body)) };
      const outgoing = httpRequest(new URL(pathname, modelUrl), {
        method: incoming.method,
        headers,
      });
      outgoing.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      outgoing.on('error', () => response.destroy());
      response.on('close', () => outgoing.destroy());
      outgoing.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // An address of a listening TCP server is never a string.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
