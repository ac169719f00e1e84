/** A derived stream made from another inside one step: the forecaster reads windows that the same task has just made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../../infra/pipeline.ts';
import { SLOT_MS } from '../../../processors/forecast/recent-slots.ts';
import { feed } from '../../../replay/facts.ts';
import type { ReadingsDelivery } from '../../../schemas/types.ts';
import { HOUR_MS, PARTITION_COUNT } from '../../../streams/limits.ts';
import { partitionOf } from '../../../streams/partitioner.ts';
import { findTopic } from '../../../streams/topics.ts';
import { openTestEngine } from '../../engine.ts';
import { declaration } from './told.ts';

const { url, namespace } = await openTestEngine();
const FROM_MS = Date.UTC(2024, 0, 10, 23);
const DAYS = 10;

test('forecasts of a task rest on windows of the same step, which it never reads back', async () => {
  const declared = { ...declaration(), knownAtMs: FROM_MS };
  const { siteId } = declared;
  const { pointId } = declared.points[0];
  const deliveries = Array.from({ length: DAYS * 24 }, (_, hour) => {
    const startMs = FROM_MS + hour * HOUR_MS;
    const value: ReadingsDelivery = {
      siteId,
      knownAtMs: startMs + HOUR_MS,
      series: [
        {
          pointId,
          unit: 'WATT',
          deviceId: null,
          startMs: [startMs, SLOT_MS, SLOT_MS, SLOT_MS],
          value: [0, 1, 2, 3].map((i) => 10 * hour + i),
          energyMilliWh: [],
          quality: Uint8Array.of(0),
        },
      ],
    };
    return { topic: 'meter.readings', schema: 'ReadingsDelivery' as const, key: siteId, value, source: 'meter', number: hour + 1 };
  });
  const pipeline = await startPipeline({ url, namespace: namespace(), codeVersion: 'test' });
  try {
    const { log, codec, store } = pipeline;
    const site = { topic: 'sites', schema: 'SiteDeclared' as const, key: siteId, value: declared, source: 'declared', number: 1 };
    await feed({ log, codec, facts: [site, ...deliveries], tickMs: SLOT_MS, tickSource: 'clock', speed: Number.POSITIVE_INFINITY });
    await pipeline.drained();
    const { rows } = await store.pool.query(
      `SELECT f.method, f.q50_w, w.mean, (extract(epoch FROM f.start_at - f.issued_at) / 3600)::float8 AS lead_hours
       FROM forecast f JOIN series_15m w ON w.point_ref = f.point_ref AND w.start_at = f.start_at - CASE f.method WHEN 'WEEK_AGO' THEN INTERVAL '7 days' ELSE INTERVAL '1 day' END
       ORDER BY f.issued_at, f.start_at`,
    );
    assert.equal(rows.length % 96, 0);
    const weekAgo = rows.filter(({ method }: { method: string }) => method === 'WEEK_AGO');
    assert.ok(weekAgo.length >= 96);
    for (const { q50_w, mean, lead_hours } of weekAgo) {
      assert.equal(q50_w, mean);
      assert.ok(lead_hours >= 12 && lead_hours < 36);
    }
    const steps = await log.journal(partitionOf(siteId, PARTITION_COUNT), 0, 100_000);
    const read = new Set(steps.flatMap(({ entries }) => entries.map(({ topic }) => topic)));
    assert.ok(read.has('meter.readings'));
    for (const topic of read) assert.equal(findTopic(topic)!.kind, 'fact', topic);
  } finally {
    await pipeline.stop();
  }
});
