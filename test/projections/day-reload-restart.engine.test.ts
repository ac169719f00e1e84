/** A reload adapter that is cut off in the midst of an answer of several parts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectAnew, untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { reloadDays } from '../../projections/day-reload.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { openProjections } from '../../projections/store.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import type { SiteDeclared } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { runTasks } from '../../streams/run.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { pointOf, seriesOf } from '../processors/harness/site-rig.ts';

const engine = await openTestEngine();
const SITE = 'site-1';
const T0 = Date.UTC(2024, 4, 1);
const NOW_MS = T0 + 3 * DAY_MS;

/** A day of a reading a second, all late. */
function facts(): Fact[] {
  const point = pointOf('p', 'INSTANT_POWER', { intervalMs: 1_000, maxHoldMs: 1_000 });
  const site = { siteId: SITE, knownAtMs: T0, pilotId: 'pilot', timeZone: 'Europe/Helsinki', kind: 'HOME', origin: 'SIMULATED' } as const;
  const declared: SiteDeclared = { ...site, personalData: null, points: [point] };
  const all: Fact[] = [{ topic: 'sites', schema: 'SiteDeclared', key: SITE, value: declared, source: 'sites', number: 1 }];
  for (let hour = 0; hour < 24; hour++) {
    const readings = Array.from({ length: 3_600 }, (_, i) => ({ startMs: T0 + hour * HOUR_MS + i * 1_000, value: (i % 7) + 0.1 }));
    const value = { siteId: SITE, knownAtMs: NOW_MS, series: [seriesOf(point, readings)] };
    all.push({ topic: 'meter.readings', schema: 'ReadingsDelivery', key: SITE, value, source: 'archive', number: hour + 1 });
  }
  return all;
}

/** A log in which only the first record of an answer arrives before its writer is cut off. */
function cuttingOff(log: EventLog): EventLog {
  const cut = Object.create(log) as EventLog;
  cut.append = async (records) => {
    assert.ok(records.length > 1, 'The answer has several parts.');
    await log.append(records.slice(0, 1));
    throw new Error('cut off');
  };
  return cut;
}

test('an answer that was cut off between its parts is completed, each part once', { timeout: 60_000 }, async () => {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  const codec = await openRegistry(engine.url, namespace);
  const store = await openProjections(engine.url, namespace, codec);
  const stopping = new AbortController();
  const { signal } = stopping;
  const builds = [];
  for (const projection of PROJECTIONS) builds.push(await store.openBuild(projection));
  const running = runTasks({ log, codec, processors: TOPOLOGY, codeVersion: 'test', configurationHash: '', signal });
  const projecting = projectAnew(log, store, builds, signal);
  try {
    await feed({ log, codec, facts: facts(), tickMs: HOUR_MS / 4, tickSource: 'clock', speed: Number.POSITIVE_INFINITY, settleMs: DAY_MS });
    await assert.rejects(reloadDays({ log: cuttingOff(log), codec, store, signal }), /cut off/);
    const reloading = reloadDays({ log, codec, store, signal });
    await untilDrained({ log, store, processors: TOPOLOGY, signal });
    const { rows } = await store.pool.query(
      'SELECT count(*)::int AS hours, sum(reading_count)::int AS readings, max(revision) AS revision FROM series_60m',
    );
    assert.deepEqual(rows, [{ hours: 24, readings: 86_400, revision: 0 }]);
    const { rows: doubles } = await store.pool.query("SELECT count(*)::int AS count FROM notice WHERE kind = 'DOUBLE'");
    assert.equal(doubles[0].count, 0);
    stopping.abort();
    await reloading;
  } finally {
    stopping.abort();
    await Promise.allSettled([running.stopped, projecting]);
    await store.close();
    await log.close();
  }
});
