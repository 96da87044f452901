// `tailrace config check`: what a start with this environment would make of it.
import { Command } from 'commander';
import type { CheckedConfig, RightConfig } from '../../main/check-config.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { note, print, printJson } from '../terminal/terminal.ts';

export function configCommand(): Command {
  const check = command('check', 'read the environment and its files as a start would', [
    ['tailrace config check', 'what is there; exit code 1 where a start would refuse'],
    ['TAILRACE_MODELS_FILE=models.yaml tailrace config check', 'the file’s servers and models too'],
  ]);
  withJson(check, 'print JSON').action(
    ending<JsonOption>(async (options) => {
      const { checkConfig } = await import('../../main/check-config.ts');
      const checked = await checkConfig(process.env);
      if (options.json === true) printJson(jsonOf(checked));
      else if (checked.ok) for (const line of linesOf(checked)) print(line);
      else for (const fault of checked.faults) note(fault);
      return checked.ok ? EXIT.ok : EXIT.failed;
    }),
  );
  return new Command('config')
    .summary('check the configuration')
    .helpCommand(false)
    .addCommand(check);
}

function linesOf({ config, spec, mcpServers }: RightConfig): string[] {
  const lines = [
    'The environment is right.',
    `  ${[...config.roles].join(' and ')}, listens on ${config.listen.host}:${config.listen.port}`,
    `  NATS ${config.nats?.servers.join(', ') ?? `embedded, its store in ${config.dataDir}`}`,
  ];
  if (spec === undefined) {
    lines.push(`  model server ${config.modelServer?.baseUrl ?? 'embedded'}`);
  }
  if (spec !== undefined) {
    lines.push(`${config.modelsFile} is right.`);
    for (const { name, baseUrl, dialect, discover } of spec.servers) {
      const kind = dialect ?? 'dialect by its address or its own list';
      lines.push(
        `  server ${name}  ${baseUrl}  ${kind}${discover ? ', offers what it lists' : ''}`,
      );
    }
    const first = spec.defaultModel ?? spec.models[0]?.name;
    for (const { name, aliases, server, upstreamModel } of spec.models) {
      const also = aliases.length === 0 ? '' : ` (${aliases.join(', ')})`;
      const chosen = name === first ? ', the default' : '';
      lines.push(`  model ${name}${also}  ${upstreamModel} at ${server}${chosen}`);
    }
    if (spec.embeddings !== undefined) {
      const { model, server, dimensions } = spec.embeddings;
      const size = dimensions === undefined ? '' : `, ${dimensions} dimensions`;
      lines.push(`  embeddings  ${model} at ${server}${size}`);
    }
  }
  if (config.defaultPromptFile !== undefined) lines.push(`${config.defaultPromptFile} is right.`);
  if (config.mcpFile !== undefined) lines.push(`${config.mcpFile} is right.`);
  for (const { name, reach, tenants, allowedTools } of mcpServers) {
    const where = reach.kind === 'program' ? [reach.command, ...reach.args].join(' ') : reach.url;
    const tools = allowedTools.length === 0 ? '' : `, tools ${allowedTools.join(', ')}`;
    const whose = tenants === undefined ? '' : `, for ${tenants.join(', ')}`;
    lines.push(`  MCP server ${name}  ${where}${tools}${whose}`);
  }
  return lines;
}

function jsonOf(checked: CheckedConfig): object {
  if (!checked.ok) return { ok: false, faults: checked.faults };
  const { config, spec, mcpServers } = checked;
  return {
    ok: true,
    faults: [],
    listen: `${config.listen.host}:${config.listen.port}`,
    roles: [...config.roles],
    nats: config.nats?.servers ?? 'embedded',
    servers: spec?.servers.map(({ name, baseUrl }) => ({ name, base_url: baseUrl })) ?? [],
    mcp_servers: mcpServers.map(({ name }) => name),
    models: spec?.models.map(({ name, server }) => ({ name, server })) ?? [],
  };
}
