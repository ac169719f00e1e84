/** A year of readings, once in order and once in random order on a site that is live already, and what came of both. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { startPipeline } from '../../infra/pipeline.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import type { PointDeclared, ReadingsDelivery } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { seededRandom } from '../crash/scenario.ts';

export interface YearOptions {
  url: string;
  namespace(): string;
  seed: number;
  days: number;
  spacingMs: number;
  kinds: readonly PointDeclared['kind'][];
  /** Stream time over which the back-fill comes in, at most a day. */
  backfillMs: number;
}

export interface BackfilledYear {
  windows: number;
  revisionsPerWindow: number;
  reloads: number;
}

const FROM_MS = Date.UTC(2023, 0, 1);
const SITE = 'site-1';
const LIVE_DAYS = 2;
const DELIVERY_MS = 6 * HOUR_MS;
const PER_DELIVERY = 96;
/** Hours in which values are negative (of registers: never), and a stretch in which the meter stands still. */
const NEGATIVE_MS = { fromMs: FROM_MS + DAY_MS + 6 * HOUR_MS, toMs: FROM_MS + DAY_MS + 9 * HOUR_MS };
const STUCK_MS = { fromMs: FROM_MS + 2.5 * DAY_MS, toMs: FROM_MS + 5.5 * DAY_MS };
const STUCK_VALUE = 500_000;

interface Reading {
  pointId: string;
  startMs: number;
  value: number;
}

/** Imports both ways, asserts that all windows agree, and says how often they were revised. */
export async function backfillYear(options: YearOptions): Promise<BackfilledYear> {
  const { days, spacingMs } = options;
  const liveFromMs = FROM_MS + days * DAY_MS;
  const readings = readingsOf(options, FROM_MS, liveFromMs + LIVE_DAYS * DAY_MS);
  const isLive = (reading: Reading) => reading.startMs >= liveFromMs;
  const inOrder = await windowsOf(options, [declaration(options), ...deliveriesInOrder(options, readings, spacingMs)], 15 * MINUTE_MS);
  const live = deliveriesInOrder(options, readings.filter(isLive), spacingMs);
  const old = readings.filter((reading) => !isLive(reading));
  const late = deliveriesInRandomOrder(options, old, liveFromMs + DAY_MS);
  const facts = [declaration(options), ...[...live, ...late].sort((a, b) => a.value.knownAtMs - b.value.knownAtMs || a.number - b.number)];
  const backfilled = await windowsOf(options, facts, 5 * MINUTE_MS);
  assert.ok(inOrder.rows.length > days * 24);
  assert.ok(inOrder.flagged > 24, `${inOrder.flagged} hours with flags`);
  // One by one, as a difference of whole years would be shown for minutes.
  const differing = backfilled.rows.findIndex((row, i) => !isDeepStrictEqual(row, inOrder.rows[i]));
  assert.deepEqual(backfilled.rows[differing], inOrder.rows[differing]);
  assert.equal(backfilled.rows.length, inOrder.rows.length);
  assert.deepEqual([inOrder.rejected, backfilled.rejected], [0, 0]);
  const { superseded, reloads } = backfilled;
  return { windows: backfilled.rows.length, revisionsPerWindow: superseded / backfilled.rows.length, reloads };
}

function declaration({ kinds, spacingMs }: YearOptions): Fact<'SiteDeclared'> {
  const points = kinds.map((kind, i) => ({
    pointId: `point-${i}`,
    name: `meter-${i}`,
    kind,
    carrier: 'ELECTRICITY' as const,
    intervalMs: spacingMs,
    maxHoldMs: spacingMs,
    deliveryDelayMs: DELIVERY_MS,
    registerModulusMilliWh: null,
    registerJitterMilliWh: 0,
    mayExport: false,
    forecast: false,
  }));
  const value = { siteId: SITE, knownAtMs: FROM_MS, pilotId: 'year', timeZone: 'Europe/Copenhagen', kind: 'HOME' as const };
  return fact('sites', 'SiteDeclared', { ...value, origin: 'SIMULATED', personalData: null, points }, 'declared', 1);
}

function fact<S extends 'SiteDeclared' | 'ReadingsDelivery'>(
  topic: string,
  schema: S,
  value: Fact<S>['value'],
  source: string,
  number: number,
): Fact<S> {
  return { topic, schema, key: SITE, value, source, number } as Fact<S>;
}

function readingsOf({ kinds, seed, spacingMs }: YearOptions, fromMs: number, toMs: number): Reading[] {
  const random = seededRandom(seed);
  const readings: Reading[] = [];
  const registers = kinds.map(() => 1e6);
  for (let startMs = fromMs; startMs < toMs; startMs += spacingMs) {
    for (const [i, kind] of kinds.entries()) {
      const drawn = Math.floor(random() * 1e6);
      const value = isWithin(startMs, STUCK_MS) ? STUCK_VALUE : drawn;
      registers[i] += value;
      const sign = isWithin(startMs, NEGATIVE_MS) ? -1 : 1;
      readings.push({ pointId: `point-${i}`, startMs, value: kind === 'REGISTER' ? registers[i] : sign * value });
    }
  }
  return readings;
}

function isWithin(startMs: number, { fromMs, toMs }: { fromMs: number; toMs: number }): boolean {
  return startMs >= fromMs && startMs < toMs;
}

function deliveriesInOrder(options: YearOptions, readings: readonly Reading[], spacingMs: number): Fact<'ReadingsDelivery'>[] {
  const perDay = Map.groupBy(readings, ({ startMs }) => Math.floor((startMs - FROM_MS) / DELIVERY_MS));
  return [...perDay.values()].map((group, i) => delivery(options, group, group.at(-1)!.startMs + spacingMs, 'live', i + 1));
}

function deliveriesInRandomOrder(options: YearOptions, readings: Reading[], fromMs: number): Fact<'ReadingsDelivery'>[] {
  const random = seededRandom(options.seed + 1);
  const shuffled = [...readings];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  const count = Math.ceil(shuffled.length / PER_DELIVERY);
  return Array.from({ length: count }, (_, i) =>
    delivery(
      options,
      shuffled.slice(i * PER_DELIVERY, (i + 1) * PER_DELIVERY),
      fromMs + Math.floor((i * options.backfillMs) / count),
      'archive',
      i + 1,
    ),
  );
}

function delivery(
  { kinds }: YearOptions,
  readings: readonly Reading[],
  knownAtMs: number,
  source: string,
  number: number,
): Fact<'ReadingsDelivery'> {
  const series = [...Map.groupBy(readings, ({ pointId }) => pointId)].map(([pointId, of]) => {
    const isEnergy = kinds[Number(pointId.split('-')[1])]?.endsWith('_POWER') === false;
    const values = of.map(({ value }) => value);
    return {
      pointId,
      unit: isEnergy ? ('MILLIWATT_HOUR' as const) : ('WATT' as const),
      deviceId: null,
      startMs: of.map(({ startMs }, i) => (i === 0 ? startMs : startMs - of[i - 1].startMs)),
      value: isEnergy ? [] : values,
      energyMilliWh: isEnergy ? values : [],
      quality: Uint8Array.of(0),
    };
  });
  const value: ReadingsDelivery = { siteId: SITE, knownAtMs, series };
  return fact('meter.readings', 'ReadingsDelivery', value, source, number);
}

/**
 * Flags are compared as far as they are defined to be equal: negative ones always; stuck ones by hours, as narrower windows
 * of an import close many at a time; outliers not, as what is usual depends on what came before.
 */
const FLAGS = { series_5m: 4, series_15m: 4, series_60m: 4 | 1 } as const;
const WINDOWS = (Object.keys(FLAGS) as (keyof typeof FLAGS)[])
  .map(
    (
      table,
    ) => `SELECT '${table}' AS width, point_id, (extract(epoch FROM start_at) * 1000)::bigint AS start_ms, energy_mwh, mean, min, max, last,
      reading_count, covered_ms, measured_ms, quality, flags::int & ${FLAGS[table]} AS flags FROM ${table} JOIN point_ref USING (point_ref)`,
  )
  .join(' UNION ALL ');
const SUPERSEDED = ['series_5m', 'series_15m', 'series_60m'].map((table) => `(SELECT count(*) FROM ${table}_history)`).join(' + ');

/** Windows up to the last reading (all columns that readings decide), after everything has settled. */
async function windowsOf({ url, namespace, days }: YearOptions, facts: readonly Fact[], tickMs: number) {
  const pipeline = await startPipeline({ url, namespace: namespace(), codeVersion: 'test' });
  try {
    const { log, codec, store } = pipeline;
    await feed({ log, codec, facts, tickMs, tickSource: 'clock', speed: Number.POSITIVE_INFINITY, settleMs: DAY_MS });
    await pipeline.drained();
    const { rows } = await store.pool.query(`SELECT * FROM (${WINDOWS}) w WHERE start_ms < $1 ORDER BY width, point_id, start_ms`, [
      FROM_MS + (days + LIVE_DAYS) * DAY_MS,
    ]);
    const { rows: counts } = await store.pool.query(`SELECT ${SUPERSEDED} AS superseded, (SELECT count(*) FROM rejected) AS rejected`);
    const reloads = (await log.endOffsets('day.reloaded')).reduce((sum, end) => sum + end, 0);
    const flagged = (rows as { width: string; flags: number }[]).filter(({ width, flags }) => width === 'series_60m' && flags > 0).length;
    return {
      rows: rows as unknown[],
      flagged,
      reloads,
      superseded: counts[0].superseded as number,
      rejected: counts[0].rejected as number,
    };
  } finally {
    await pipeline.stop();
  }
}
