/**
 * From append to queryable rows, with every part in a process of its own, as `iflex run --role` has it: this process
 * generates and appends readings to Kafka, tasks resample them exactly once, the projector keeps the rows in hypertables of
 * TimescaleDB, all of it durable. Appending holds back while a reader is more than two seconds behind, so that the rate is
 * what all parts sustain together. Tells what each part took, and which of them was furthest behind. The rows of some sites
 * are held against plain sums.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Backend, dropNamespace, openCodec, openLog } from '../../infra/backend.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { createService } from '../../infra/metrics.ts';
import nodeOptions from '../../infra/node-options.json' with { type: 'json' };
import { untilDrained } from '../../infra/pipeline.ts';
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { openPlace, type ServicesPlace } from '../../infra/services/place.ts';
import { startedProcess } from '../../infra/services/process.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { openProjections, type ProjectionStore } from '../../projections/store.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { topicsOf } from '../../streams/processor.ts';
import { WIDTHS_MINUTES } from '../peers/kafka-streams/run.ts';
import { withServicesOfARun } from '../services-of-a-run.ts';
import { type Benchmark, type Figures, type Measured, median } from './benchmark.ts';
import { graceMinutesOf, type LoadedReadings, loadReadings } from './kafka-readings.ts';
import { assertWindows, type Window } from './kafka-windows.ts';
import { cpuMsOfTree } from './process-tree.ts';
import { siteIdOf } from './readings-generator.ts';

const NAMESPACE = 'end_to_end';
const SIZES = { seed: 29, points: 1_000, pointsPerSite: 10, watchedSites: 2 } as const;
const READINGS = { 1: { full: 5_000_000, quick: 300_000 }, 60: { full: 15_000_000, quick: 1_500_000 } } as const;
const ROLES = ['tasks', 'projector', 'adapters'] as const;
/** Appending holds back while a reader is further behind. */
const MAX_BEHIND_MS = 2_000;
const LOOK_EVERY_MS = 500;
const ROOM_POLL_MS = 20;

/** CPU time so far of each part (ms). */
type Costs = Record<string, number>;

/** How far readers are behind, by part (ms): the oldest record that is not taken in has waited so long. */
interface Behind {
  tasks: number;
  projector: number;
}

interface Bench {
  place: ServicesPlace;
  backend: Backend;
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
}

function startRole(role: (typeof ROLES)[number], env: Record<string, string>): ChildProcess {
  const run = ['run', '--namespace', NAMESPACE, '--role', role, '--no-clock'];
  const args = [...nodeOptions, join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts'), ...run];
  return spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Resolves once it says that it runs. */
async function untilRunning(child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr!.on('data', (text) => (said = (said + text).slice(-2_000)));
  const ended = once(child, 'close').then(() => Promise.reject(new Error(`A part of the pipeline ended: ${said}`)));
  ended.catch(() => {});
  await Promise.race([once(child.stdout!, 'data'), ended]);
}

async function withRoles<T>(env: Record<string, string>, work: (children: Record<string, ChildProcess>) => Promise<T>): Promise<T> {
  const children: Record<string, ChildProcess> = {};
  try {
    for (const role of ROLES) {
      children[role] = startRole(role, env);
      await untilRunning(children[role]);
    }
    return await work(children);
  } finally {
    const running = Object.values(children).filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((child) => once(child, 'close'));
    for (const child of running) child.kill('SIGTERM');
    await Promise.all(ended);
  }
}

function costsOf({ place }: Bench, children: Record<string, ChildProcess>): Costs {
  const { user, system } = process.cpuUsage();
  return {
    appending: (user + system) / 1_000,
    ...Object.fromEntries(ROLES.map((role) => [role, cpuMsOfTree(children[role].pid!)])),
    broker: cpuMsOfTree(startedProcess(place, 'kafka')!),
    database: cpuMsOfTree(startedProcess(place, 'timescaledb')!),
  };
}

/** Looks every while how far readers are behind, until the signal. */
async function watchLags({ log, store }: Bench, looks: Behind[], signal: AbortSignal): Promise<void> {
  const service = createService({ log, pool: store.pool, taskTopics: topicsOf(TOPOLOGY).inputs, nowMs: Date.now });
  while (!signal.aborted) {
    const lags = await service.lags();
    const longest = (of: (reader: string) => boolean) =>
      lags.reduce((most, { reader, waitedMs }) => (of(reader) ? Math.max(most, waitedMs) : most), 0);
    looks.push({ tasks: longest((reader) => reader === 'task'), projector: longest((reader) => reader !== 'task') });
    await pause(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

interface Run {
  loaded: LoadedReadings;
  seconds: number;
  costs: Costs;
  looks: Behind[];
}

async function sustain(bench: Bench, readingsPerDelivery: 1 | 60, readings: number, env: Record<string, string>): Promise<Run> {
  return withRoles(env, async (children) => {
    const { log, codec, store } = bench;
    const stopping = new AbortController();
    const { signal } = stopping;
    const looks: Behind[] = [];
    const watching = watchLags(bench, looks, signal);
    const isBehind = () => Math.max(...Object.values(looks.at(-1) ?? {})) > MAX_BEHIND_MS;
    const room = async () => {
      while (isBehind()) await pause(ROOM_POLL_MS);
    };
    const before = costsOf(bench, children);
    const startedMs = performance.now();
    const loaded = await loadReadings({ log, codec, ...SIZES, readingsPerDelivery, readings, room });
    await untilDrained({ log, store, processors: TOPOLOGY, signal });
    const seconds = (performance.now() - startedMs) / 1_000;
    const after = costsOf(bench, children);
    stopping.abort();
    await watching;
    const costs = Object.fromEntries(Object.keys(after).map((part) => [part, after[part] - before[part]]));
    return { loaded, seconds, costs, looks };
  });
}

/** The rows of watched sites are those of plain sums. */
async function assertRows({ store }: Bench, { expected }: LoadedReadings, graceMinutes: number): Promise<void> {
  const sites = Array.from({ length: SIZES.watchedSites }, (_, site) => siteIdOf(site));
  for (const width of WIDTHS_MINUTES) {
    const { rows } = await store.pool.query(
      `SELECT point_id || ' ' || (extract(epoch FROM start_at) * 1000)::bigint AS name, reading_count, energy_mwh, mean, min, max, last, covered_ms
         FROM series_${width}m JOIN point_ref USING (point_ref) WHERE site_id = ANY ($1)`,
      [sites],
    );
    const found = new Map<string, Window>(
      rows.map((row) => [
        row.name,
        {
          ...{ readingCount: row.reading_count, energyMilliWh: Number(row.energy_mwh), coveredMs: row.covered_ms },
          ...{ mean: row.mean, min: row.min, max: row.max, last: row.last },
        },
      ]),
    );
    assertWindows(found, expected.closed(width * MINUTE_MS, graceMinutes * MINUTE_MS));
  }
}

/** What the rate was limited by: all cores where they were busy, and the part that was furthest behind for most of the time. */
function limitOf({ seconds, costs, looks }: Run): string {
  const cores = Object.entries(costs).map(([part, ms]): [string, number] => [part, ms / 1_000 / seconds]);
  const inUse = cores.reduce((sum, [, each]) => sum + each, 0);
  const parts = cores.toSorted((a, b) => b[1] - a[1]).map(([part, each]) => `${part} ${each.toFixed(2)}`);
  const tasksShare = looks.filter(({ tasks, projector }) => tasks > projector).length / looks.length;
  const [last, share] = tasksShare > 0.5 ? ['tasks', tasksShare] : ['projector', 1 - tasksShare];
  const used = `${inUse.toFixed(2)} of ${availableParallelism()} cores in use (${parts.join(', ')})`;
  return `${used}; of the readers the ${last} furthest behind in ${Math.round(100 * share)} % of all looks`;
}

function figuresOf(form: string, run: Run): { rate: number; limit: string; figures: Figures } {
  const { loaded, seconds, costs, looks } = run;
  const perMillion = Object.entries(costs).map(([part, ms]): [string, number] => [
    `${form}, ${part}: CPU s a million readings`,
    ms / 1_000 / (loaded.readings / 1e6),
  ]);
  return {
    rate: loaded.readings / seconds,
    limit: limitOf(run),
    figures: {
      [`${form}: readings`]: loaded.readings,
      [`${form}: tasks behind, median and most s`]: spanOf(looks.map(({ tasks }) => tasks)),
      [`${form}: projector behind, median and most s`]: spanOf(looks.map(({ projector }) => projector)),
      ...Object.fromEntries(perMillion),
    },
  };
}

const spanOf = (behindMs: readonly number[]) => `${(median(behindMs) / 1_000).toFixed(1)}, ${(Math.max(...behindMs) / 1_000).toFixed(1)}`;

async function measure(place: ServicesPlace, readingsPerDelivery: 1 | 60, quick: boolean) {
  const env = { ...SERVICES.kafka.clientSettings(place), ...SERVICES.timescaledb.clientSettings(place) };
  const backend: Backend = { url: env.DATABASE_URL, kafka: kafkaSettings(env)! };
  await dropNamespace(backend, NAMESPACE);
  const log = await openLog(backend, NAMESPACE);
  const codec = await openCodec(backend, NAMESPACE);
  const store = await openProjections(backend.url, NAMESPACE, codec);
  const bench: Bench = { place, backend, log, codec, store };
  try {
    const run = await sustain(bench, readingsPerDelivery, READINGS[readingsPerDelivery][quick ? 'quick' : 'full'], env);
    await assertRows(bench, run.loaded, graceMinutesOf(readingsPerDelivery));
    return figuresOf(readingsPerDelivery === 1 ? 'single' : 'batched', run);
  } finally {
    await Promise.all([log.close(), store.close()]);
    await dropNamespace(backend, NAMESPACE);
  }
}

export const endToEndBenchmark: Benchmark = {
  targets: ['kafka-end-to-end', 'kafka-end-to-end-batched'],
  run: ({ quick }) =>
    withServicesOfARun(async (): Promise<Measured> => {
      const place = openPlace(() => {});
      await up(place, 'kafka');
      await up(place, 'timescaledb');
      const single = await measure(place, 1, quick);
      const batched = await measure(place, 60, quick);
      return {
        ratios: { 'kafka-end-to-end': single.rate, 'kafka-end-to-end-batched': batched.rate },
        remarks: { 'kafka-end-to-end': single.limit, 'kafka-end-to-end-batched': batched.limit },
        figures: { ...single.figures, ...batched.figures },
      };
    }),
};
