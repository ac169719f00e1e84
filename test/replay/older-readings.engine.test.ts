import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resampler } from '../../processors/resampler/resampler.ts';
import type { Fact } from '../../replay/facts.ts';
import { OlderReadings } from '../../replay/import/older-readings.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import type { Processor } from '../../streams/processor.ts';
import { openTestEngine } from '../engine.ts';
import { live, pointOf, SiteRig, seriesOf } from '../processors/harness/site-rig.ts';

const engine = await openTestEngine();
const T0 = Date.UTC(2026, 0, 14);
const FIVE = 5 * MINUTE_MS;

test('the ticks that end an import make old days due, however long their readings came in', async () => {
  const log = await openPostgresLog({ url: engine.url, namespace: engine.namespace() });
  try {
    const minutely = pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS });
    for (const spanMs of [0, 20 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS]) {
      const rig = new SiteRig({ processors: [resampler as Processor], points: [minutely] });
      live(rig, T0 + DAY_MS, T0 + DAY_MS + HOUR_MS, () => 60);
      const older = new OlderReadings(log, 'import');
      const fromMs = T0 + 2 * DAY_MS;
      rig.tickThrough(T0 + DAY_MS + HOUR_MS, fromMs, HOUR_MS);
      // Old readings come every ten minutes while the ticks of the import go on.
      const facts: Fact[] = [];
      for (let i = 0; i * 10 * MINUTE_MS <= spanMs; i++) {
        const reading = { startMs: T0 + i * MINUTE_MS, value: 60 };
        const knownAtMs = fromMs + i * 10 * MINUTE_MS;
        rig.deliver('p', [reading], knownAtMs);
        rig.tickThrough(knownAtMs, knownAtMs + FIVE, FIVE);
        const value = { siteId: 'site', knownAtMs, series: [seriesOf(minutely, [reading])] };
        facts.push({ topic: 'meter.readings', schema: 'ReadingsDelivery', key: 'site', value, source: 'import', number: i });
      }
      const asked = rig.requests.length;
      for await (const _ of older.watch(
        (async function* () {
          yield* facts;
        })(),
      ));
      const ticks = older.closingTicks(fromMs + spanMs + FIVE, FIVE);
      for (const { knownAtMs } of ticks) rig.tick(knownAtMs);
      assert.ok(rig.requests.length > asked, `${spanMs}`);
      assert.equal(rig.energyMilliWh('p', HOUR_MS, T0, T0 + DAY_MS), facts.length * 1_000);
    }
  } finally {
    await log.close();
  }
});
