/** `iflex start` (npm start): the bundled pilot through the whole pipeline, then the API until interrupted. */
import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { openReadPool } from '../../projections/queries/read-pool.ts';
import { type FeedProgress, feed } from '../../replay/facts.ts';
import { BUNDLED_DAYS, type BundledPilot, bundledPilot } from '../../replay/pilots/bundled.ts';
import { IflexError } from '../../streams/errors.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { noteNamespace } from '../../streams/namespaces.ts';
import { type Backend, lookUpNamespace, openLog } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { openEngine } from '../engine.ts';
import { HangingTally } from '../hanging-tally.ts';
import { type Pipeline, startPipeline } from '../pipeline.ts';
import type { ApiServer } from '../serve-api.ts';
import { drainShown } from './drain.ts';
import { untilInterrupted } from './existing-log.ts';
import { showProgress } from './progress.ts';
import { portOf } from './serve.ts';
import { eventsByTopic, feedLines, lookLines, siteLines, totalLines } from './start-report.ts';

interface Options {
  once?: boolean;
  days: number;
  namespace: string;
  port: number;
}

const TICK_MS = 5 * MINUTE_MS;
/** The last windows of points that are delivered or read hourly are closed then, and the last late days reloaded. */
const SETTLE_MS = 4 * HOUR_MS;
const NOTE = 'the bundled pilot, by start';

export function registerStart(program: Command): void {
  program
    .command('start')
    .description('Replay the bundled pilot through the whole pipeline, say what came out, and serve the API.')
    .option('--once', 'end after the replay instead of serving the API')
    .option('--days <number>', `replay only the first days, at most ${BUNDLED_DAYS}`, daysOf, BUNDLED_DAYS)
    .option('--namespace <name>', 'namespace to replay into', 'demo')
    .option('--port <number>', 'port of the API on this machine', portOf, 8080)
    .addHelpText('after', '\nExamples\n  iflex start\n  iflex start --once\n  iflex start --days 3 --namespace short --port 8081')
    .action(start);
}

async function start(options: Options): Promise<void> {
  const interrupted = untilInterrupted();
  const { signal } = interrupted;
  console.error('Preparing the database (the first time takes a little longer) …');
  const engine = await openEngine((line) => console.error(line));
  try {
    await prepareNamespace(engine, options.namespace);
    const { namespace, port } = options;
    const hanging = new HangingTally((line) => console.error(line));
    const pipeline = await startPipeline({ ...engine, namespace, codeVersion: codeVersion(), onHanging: hanging.note });
    let api: ApiServer | null = null;
    try {
      // Before the replay, so that a port that is taken is told at once.
      if (!options.once) {
        // Loaded here, as the web framework would make every other command start later.
        const { serveApi } = await import('../serve-api.ts');
        const counted = engine.kafka && { hanging: hanging.counts };
        api = await serveApi({ backend: engine, namespace, host: '127.0.0.1', port, ...counted });
      }
      await replay(engine.url, pipeline, options, api?.address ?? null, signal);
      if (signal.aborted) {
        console.error(`Interrupted. The same command goes on where it ended.`);
        process.exitCode = 130;
      } else if (api) {
        console.log('Ctrl-C stops.');
        await Promise.race([once(signal, 'abort'), pipeline.failed]);
      }
    } finally {
      await api?.stop();
      await pipeline.stop();
    }
  } finally {
    await engine.stop();
  }
}

async function replay(
  url: string,
  pipeline: Pipeline,
  { days, namespace }: Options,
  address: string | null,
  signal: AbortSignal,
): Promise<void> {
  const pilot = await bundledPilot(days);
  const before = await eventsByTopic(pipeline.log);
  const progress = await Promise.race([feedPilot(pipeline, pilot, signal), pipeline.failed]);
  await drainShown(pipeline, progress.appended, signal);
  if (signal.aborted) return;
  const after = await eventsByTopic(pipeline.log);
  const pool = await openReadPool(url, namespace);
  try {
    const lines = [
      `\nThe bundled pilot, ${days} days from ${new Date(pilot.instance.pilot.knownAtMs).toISOString()}, in the namespace "${namespace}":`,
      ...siteLines(pilot.instance.sites),
      ...feedLines({ ...progress, before, after }),
      ...(await totalLines(pool, pilot, after)),
      '',
      ...lookLines(namespace, pilot, address),
    ];
    console.log(lines.join('\n'));
  } finally {
    await pool.end();
  }
}

/** Makes the namespace and notes what for. What somebody else made is left alone: its ticks may be years after the pilot's. */
async function prepareNamespace(backend: Backend, namespace: string): Promise<void> {
  const found = await lookUpNamespace(backend, namespace);
  if (found && found.note !== NOTE && found.events > 0)
    throw new IflexError(
      'CONFIG_INVALID',
      `The namespace "${namespace}" holds other data${found.note ? ` (${found.note})` : ''}. Give the bundled pilot another --namespace.`,
    );
  if (found?.note === NOTE) return;
  await (await openLog(backend, namespace)).close();
  await noteNamespace(backend.url, namespace, NOTE);
}

async function feedPilot({ log, codec }: Pipeline, { facts }: BundledPilot, signal: AbortSignal): Promise<FeedProgress> {
  const shown = showProgress({ label: 'Appending', total: facts.length, unit: 'facts' });
  try {
    return await feed({
      ...{ log, codec, facts, signal },
      tickMs: TICK_MS,
      tickSource: 'demo clock',
      speed: Number.POSITIVE_INFINITY,
      settleMs: SETTLE_MS,
      onProgress: ({ facts: done, knownAtMs }) => shown.update(done, new Date(knownAtMs).toISOString().slice(0, 16)),
    });
  } finally {
    shown.finish();
  }
}

function daysOf(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > BUNDLED_DAYS)
    throw new InvalidArgumentError(`Days are a number from 1 to ${BUNDLED_DAYS}.`);
  return days;
}
