// `tailrace models`: what chats can ask for.
import type { Command } from 'commander';
import { toJson } from '@bufbuild/protobuf';
import { ListModelsResponseSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Model } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { callOptions, connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { print, printJson, table } from '../terminal/terminal.ts';

export function modelsCommand(): Command {
  const made = command('models', 'list the models, the default one first', [
    ['tailrace models', 'what each can do, as far as it is known'],
    ["tailrace models --json | jq -r '.models[].name'", 'the names alone'],
  ]);
  return withConnection(withJson(made)).action(
    ending<ConnectionOptions & JsonOption>(async (options) => {
      const answer = await connect(options).client.listModels({}, callOptions());
      if (options.json === true) {
        printJson(toJson(ListModelsResponseSchema, answer, { useProtoFieldName: true }));
        return EXIT.ok;
      }
      const head = ['MODEL', 'ALIASES', 'CONTEXT', 'CAN', 'CANNOT'];
      for (const line of table(head, answer.models.map(row))) print(line);
      return EXIT.ok;
    }),
  );
}

function row(model: Model): string[] {
  const { tools, jsonSchema, reasoning, images, documents } = model.capabilities ?? {};
  const all = Object.entries({ tools, 'JSON schema': jsonSchema, reasoning, images, documents });
  const those = (wanted: boolean): string =>
    all.flatMap(([name, can]) => (can === wanted ? [name] : [])).join(', ') || '-';
  return [
    model.isDefault ? `${model.name} (default)` : model.name,
    model.aliases.join(', ') || '-',
    model.contextTokens === undefined ? '-' : String(model.contextTokens),
    those(true),
    those(false),
  ];
}
