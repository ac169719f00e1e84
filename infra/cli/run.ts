/** `iflex run`: the pipeline of a namespace on live events, with the clock that moves its stream time; or some roles of it. */
import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { retentionText, rowsKept } from '../../projections/retention.ts';
import { IflexError } from '../../streams/errors.ts';
import type { Backend } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { HangingTally } from '../hanging-tally.ts';
import { PIPELINE_ROLES, startPipeline } from '../pipeline.ts';
import { DEFAULT_NAMESPACE, untilInterrupted, withEngine } from './existing-log.ts';
import { portOf } from './serve.ts';

interface Options {
  namespace: string;
  port: number;
  clock: boolean;
  api: boolean;
  role?: Role[];
}

const ROLES = [...PIPELINE_ROLES, 'api'] as const;
type Role = (typeof ROLES)[number];

const HELP = `
Under a service manager: \`node infra/iflex.js run\` in the project folder, as npx passes no signal on.

Environment
  IFLEX_KEEP_ROWS  tables and days, as in series_5m=730,rejected=365: older rows are dropped; only on TimescaleDB. Default: all are kept.

Roles
  tasks      computes; on Kafka all processes with this role share the tasks
  projector  keeps the rows that the API answers from
  adapters   clock, reloads of late days, upkeep of topics
  api        serves the API
  A role without which nothing goes on must run somewhere. Of projector and adapters (in PostgreSQL, of tasks too) one
  process at a time has it; further ones wait, and take over when that one ends. All roles are the default; with a log in
  PostgreSQL that excludes other processes.

Examples
  iflex run
  iflex run --namespace trial --port 8081
  iflex run --no-api
  iflex run --role tasks                        # as many as there are machines
  iflex run --role projector,adapters,api       # and these once, or twice to be safe`;

export function registerRun(program: Command): void {
  program
    .command('run')
    .description('Run the pipeline of a namespace: tasks, projections, reloads, a clock, and the API on this machine, until interrupted.')
    .option('--namespace <name>', 'namespace to run; made where there is none', DEFAULT_NAMESPACE)
    .option('--port <number>', 'port of the API on this machine', portOf, 8080)
    .option('--no-clock', 'append no ticks: stream time stands still until somebody else does')
    .option('--no-api', 'do not serve the API')
    .option('--role <roles>', `what this process does, of ${ROLES.join(', ')}; by commas, or repeated`, rolesOf)
    .addHelpText('after', HELP)
    .action((options: Options) => {
      if (options.role?.includes('api') && !options.api)
        throw new IflexError('CONFIG_INVALID', '--no-api and --role api exclude each other; leave one of them out.');
      return withEngine((backend) => run(backend, options));
    });
}

/** For options: throws what commander shows beside the option. */
export function rolesOf(text: string, before: readonly Role[] = []): Role[] {
  const given = text.split(',').map((name) => name.trim());
  const unknown = given.find((name) => !(ROLES as readonly string[]).includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no role "${unknown}"; there are ${ROLES.join(', ')}.`);
  return [...new Set([...before, ...(given as Role[])])];
}

async function run(backend: Backend, { namespace, port, clock, api, role }: Options): Promise<void> {
  const { signal } = untilInterrupted();
  const roles = PIPELINE_ROLES.filter((each) => role === undefined || role.includes(each));
  const kept = rowsKept(process.env.IFLEX_KEEP_ROWS);
  const tell = (line: string) => console.error(line);
  const warn = (text: string) => tell(`Warning: ${text}`);
  const hanging = backend.kafka && new HangingTally(tell);
  const ticks = clock && roles.includes('adapters');
  const pipeline = await startPipeline({
    ...{ ...backend, namespace, roles, codeVersion: codeVersion(), retention: { kept, tell }, tell },
    ...(ticks && { clock: { nowMs: Date.now, warn } }),
    ...(hanging && { onHanging: hanging.note }),
  });
  if (kept.size > 0 && roles.includes('projector')) tell(retentionText(kept));
  let stopApi: (() => Promise<void>) | undefined;
  try {
    if (role === undefined ? api : role.includes('api')) {
      // Loaded here, as the web framework would make every other command start later.
      const { serveApi } = await import('../serve-api.ts');
      const server = await serveApi({ backend, namespace, host: '127.0.0.1', port, ...(hanging && { hanging: hanging.counts }) });
      stopApi = server.stop;
      console.log(`The API is at ${server.address} (reference: ${server.address}/reference/).`);
    }
    const part = role === undefined ? '' : ` here as ${role.join(', ')}`;
    console.log(`The pipeline of "${namespace}" runs${part}${ticks ? ', with a clock' : ''}. Ctrl-C stops.`);
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), pipeline.failed]);
  } finally {
    await stopApi?.();
    await pipeline.stop();
  }
}
