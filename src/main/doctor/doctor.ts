// What Tailrace stands on, looked at from where it runs: Node, the configuration, NATS, the model servers, what tools
// lead to. Each thing with what is wrong and what to do. Nothing is changed.
import { readFile } from 'node:fs/promises';
import { DOCTOR_LOOK_MS } from '../../chat/limits.ts';
import { createRegistry } from '../../model/registry.ts';
import { oneServer, type RegistrySpec } from '../../model/settings/registry-spec.ts';
import type { Config } from '../../ops/config.ts';
import { parseTokens } from '../../rpc/edge/tokens-file.ts';
import { type CheckedConfig, checkConfig, type RightConfig } from '../check-config.ts';
import { embeddedNats, externalNats } from './doctor-nats.ts';
import { embeddings, mcpServer, sqliteFolder } from './doctor-tools.ts';
import { counted, type Finding, textOf, wrong } from './doctor-finding.ts';
import { readFindings } from '../findings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function examine(environment: Environment): Promise<Finding[]> {
  const checked = await checkConfig(environment);
  const first: Finding[] = [
    { check: 'node', state: 'ok', said: `${process.versions.node}, ${process.execPath}` },
    ...ofConfig(checked),
  ];
  if (!checked.ok) {
    const said = 'not looked at before the configuration is right';
    return [
      ...first,
      { check: 'nats', state: 'skipped', said },
      { check: 'models', state: 'skipped', said },
    ];
  }
  const { config, spec } = checked;
  const rest = await Promise.all([
    tokensOf(config),
    config.nats === undefined
      ? embeddedNats(config, environment)
      : externalNats(config.nats, config),
    modelsOf(config, spec, environment),
    ...toolsOf(checked),
  ]);
  return [...first, ...rest.flat()];
}

/** Workers alone use them. */
function toolsOf({ config, spec, mcpServers }: RightConfig): Promise<Finding | Finding[]>[] {
  if (!config.roles.has('worker')) return [];
  return [
    ...(spec === undefined ? [] : [embeddings(spec)]),
    ...mcpServers.map(mcpServer),
    ...config.sqliteFolders.map(sqliteFolder),
  ];
}

function ofConfig(checked: CheckedConfig): Finding[] {
  const check = 'configuration';
  if (checked.ok) {
    const { config } = checked;
    const said = `${[...config.roles].join(' and ')}, listens on ${config.listen.host}:${config.listen.port}`;
    return [{ check, state: 'ok', said }];
  }
  const remedy = 'set it as the line says; README.md has all variables.';
  return checked.faults.map((said) => ({ check, state: 'wrong', said, remedy }));
}

async function tokensOf({ tokensFile }: Config): Promise<Finding[]> {
  const check = 'tokens';
  if (tokensFile === undefined) {
    return [{ check, state: 'ok', said: 'none: one tenant, and only this machine may call' }];
  }
  try {
    const rows = parseTokens(await readFile(tokensFile, 'utf8'), tokensFile);
    const tenants = new Set(rows.map(({ tenant }) => tenant));
    const said = `${tokensFile}: ${counted(rows.length, 'token')} of ${counted(tenants.size, 'tenant')}`;
    if (rows.length > 0) return [{ check, state: 'ok', said }];
    return [
      {
        check,
        state: 'warning',
        said,
        remedy: 'nobody can call: `tailrace token <tenant>` makes one.',
      },
    ];
  } catch (error) {
    return [
      wrong(
        check,
        `${tokensFile} cannot be used: ${textOf(error)}`,
        '`tailrace token <tenant>` makes a line for it.',
      ),
    ];
  }
}

async function modelsOf(
  config: Config,
  inFile: RegistrySpec | undefined,
  environment: Environment,
): Promise<Finding[]> {
  const { modelServer, models, defaultModel } = config;
  if (inFile === undefined && modelServer === undefined) {
    const there = readFindings(environment).model !== undefined;
    const said = there
      ? 'the embedded one'
      : 'the embedded one, which is fetched at the first start';
    return [{ check: 'models', state: 'ok', said }];
  }
  const spec = inFile ?? oneServer({ baseUrl: '', ...modelServer, models, defaultModel });
  return Promise.all(
    spec.servers.map(async (server): Promise<Finding> => {
      const check = inFile === undefined ? 'models' : `models of ${server.name}`;
      // All that it lists, whatever of it is offered.
      const registry = createRegistry({
        servers: [{ ...server, discover: true }],
        models: [],
        defaultModel: undefined,
      });
      try {
        const listed = await registry.listModels(AbortSignal.timeout(DOCTOR_LOOK_MS));
        const names = new Set(listed.map(({ name }) => name));
        const missing = spec.models
          .filter((model) => model.server === server.name && !names.has(model.upstreamModel))
          .map(({ upstreamModel }) => upstreamModel);
        const said = `${server.baseUrl} lists ${names.size}`;
        if (missing.length === 0) return { check, state: 'ok', said };
        return {
          check,
          state: 'warning',
          said: `${said}, not among them: ${missing.join(', ')}`,
          remedy: 'look at the spelling; some servers serve what they do not list.',
        };
      } catch (error) {
        return wrong(
          check,
          `${server.baseUrl} cannot be used: ${textOf(error)}`,
          'start it, or look at its address and key; until then chats of its models wait or fail.',
        );
      } finally {
        registry.close();
      }
    }),
  );
}
