// `npm run config:check`: reads the environment and the operator's files as a start would, and says what is
// wrong, or what there is. Exits with 1 where a start would refuse.
import { ConfigError, readConfig } from '../ops/config.ts';
import { mcpServersInFile } from './mcp-servers.ts';
import { promptInFile, specInFiles } from './models.ts';

try {
  const config = readConfig(process.env);
  if (config.modelsFile !== undefined) {
    const { servers, models, defaultModel, embeddings } = await specInFiles(config, process.env);
    console.log('The environment is right.');
    console.log(`${config.modelsFile} is right.`);
    for (const { name, baseUrl, dialect, discover } of servers) {
      const kind = dialect ?? 'dialect by its address or its own list';
      console.log(
        `  server ${name}  ${baseUrl}  ${kind}${discover ? ', offers what it lists' : ''}`,
      );
    }
    for (const { name, aliases, server, upstreamModel } of models) {
      const also = aliases.length === 0 ? '' : ` (${aliases.join(', ')})`;
      const first = name === (defaultModel ?? models[0]?.name) ? ', the default' : '';
      console.log(`  model ${name}${also}  ${upstreamModel} at ${server}${first}`);
    }
    if (embeddings !== undefined) {
      const { model, server, dimensions } = embeddings;
      const size = dimensions === undefined ? '' : `, ${dimensions} dimensions`;
      console.log(`  embeddings  ${model} at ${server}${size}`);
    }
  } else await promptInFile(config);
  if (config.defaultPromptFile !== undefined) console.log(`${config.defaultPromptFile} is right.`);
  const mcpServers = await mcpServersInFile(config, process.env);
  if (config.mcpFile !== undefined) console.log(`${config.mcpFile} is right.`);
  for (const { name, reach, tenants, allowedTools } of mcpServers) {
    const where = reach.kind === 'program' ? [reach.command, ...reach.args].join(' ') : reach.url;
    const tools = allowedTools.length === 0 ? '' : `, tools ${allowedTools.join(', ')}`;
    const whose = tenants === undefined ? '' : `, for ${tenants.join(', ')}`;
    console.log(`  MCP server ${name}  ${where}${tools}${whose}`);
  }
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
