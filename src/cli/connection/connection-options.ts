// Where Tailrace is and who calls: an address and a token, by flag or environment.
import { type Command, InvalidArgumentError, Option } from 'commander';

export interface ConnectionOptions {
  readonly address: string;
  readonly token?: string;
}

const DEFAULT_ADDRESS = 'http://127.0.0.1:8080';

/** --address and --token, for each command that calls. */
export function withConnection(command: Command): Command {
  return command
    .addOption(
      new Option('--address <url>', 'where Tailrace is, as a URL or host:port')
        .env('TAILRACE_ADDRESS')
        .default(DEFAULT_ADDRESS)
        .argParser(parseAddress),
    )
    .addOption(new Option('--token <token>', 'what the operator gave you').env('TAILRACE_TOKEN'));
}

export function parseAddress(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new InvalidArgumentError(
      'It must be like http://127.0.0.1:8080, https://chats.example.com or host:port.',
    );
  }
  return url.href.replace(/\/+$/, '');
}
