/** `iflex run`: the pipeline of a namespace on live events, with the clock that moves its stream time. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { retentionText, rowsKept } from '../../projections/retention.ts';
import { runClock } from '../../streams/adapters/clock.ts';
import { keepGoing } from '../../streams/retry.ts';
import type { Backend } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { startPipeline } from '../pipeline.ts';
import { DEFAULT_NAMESPACE, untilInterrupted, withEngine } from './existing-log.ts';
import { portOf } from './serve.ts';

interface Options {
  namespace: string;
  port: number;
  clock: boolean;
  api: boolean;
}

const HELP = `
Under a service manager: \`node infra/iflex.js run\` in the project folder, as npx passes no signal on.

Environment
  IFLEX_KEEP_ROWS  tables and days, as in series_5m=730,rejected=365: older rows are dropped; only on TimescaleDB. Default: all are kept.

Examples
  iflex run
  iflex run --namespace trial --port 8081
  iflex run --no-api`;

export function registerRun(program: Command): void {
  program
    .command('run')
    .description('Run the pipeline of a namespace: tasks, projections, reloads, a clock, and the API on this machine, until interrupted.')
    .option('--namespace <name>', 'namespace to run; made where there is none', DEFAULT_NAMESPACE)
    .option('--port <number>', 'port of the API on this machine', portOf, 8080)
    .option('--no-clock', 'append no ticks: stream time stands still until somebody else does')
    .option('--no-api', 'do not serve the API')
    .addHelpText('after', HELP)
    .action((options: Options) => withEngine((backend) => run(backend, options)));
}

async function run(backend: Backend, { namespace, port, clock, api }: Options): Promise<void> {
  const { signal } = untilInterrupted();
  const kept = rowsKept(process.env.IFLEX_KEEP_ROWS);
  const retention = { kept, tell: (line: string) => console.error(line) };
  const pipeline = await startPipeline({ ...backend, namespace, codeVersion: codeVersion(), retention });
  if (kept.size > 0) retention.tell(retentionText(kept));
  const { log, codec } = pipeline;
  const warn = (text: string) => console.error(`Warning: ${text}`);
  let stopApi: (() => Promise<void>) | undefined;
  try {
    const ticking = clock ? keepGoing(signal, () => runClock({ log, codec, nowMs: Date.now, warn, signal })) : Promise.resolve();
    ticking.catch(() => {}); // raced below; a failure before that must not end the process by itself
    if (api) {
      // Loaded here, as the web framework would make every other command start later.
      const { serveApi } = await import('../serve-api.ts');
      const server = await serveApi({ backend, namespace, host: '127.0.0.1', port });
      stopApi = server.stop;
      console.log(`The API is at ${server.address} (reference: ${server.address}/reference/).`);
    }
    console.log(`The pipeline of "${namespace}" runs${clock ? ', with a clock' : ''}. Ctrl-C stops.`);
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), pipeline.failed, ticking.then(() => once(signal, 'abort'))]);
  } finally {
    await stopApi?.();
    await pipeline.stop();
  }
}
