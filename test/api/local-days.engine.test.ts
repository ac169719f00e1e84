/**
 * Daily sums around both changes of clocks, against instants that are written out here; and the same ones whatever zone
 * the database thinks it is in, as local days come from streams/time.ts alone.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { calendarBounds, widthOfBounds } from '../../api/calendar.ts';
import { rendered } from '../../api/times.ts';
import { seriesCalendar } from '../../projections/queries/series-calendar.ts';
import { seriesProjection } from '../../projections/series.ts';
import { HOUR_MS } from '../../streams/limits.ts';
import { openPool } from '../../streams/postgres.ts';
import { namespaceSchema } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { windowsRecord } from '../projections/events.ts';
import { advanceAll, withProjection } from '../projections/world.ts';

const engine = await openTestEngine();

/** Starts of four local days in UTC; the clocks change in the second. */
const DAYS: Record<string, string[][]> = {
  'Europe/Helsinki': [
    ['2026-03-27T22:00Z', '2026-03-28T22:00Z', '2026-03-29T21:00Z', '2026-03-30T21:00Z'],
    ['2026-10-23T21:00Z', '2026-10-24T21:00Z', '2026-10-25T22:00Z', '2026-10-26T22:00Z'],
  ],
  'Europe/Copenhagen': [
    ['2026-03-27T23:00Z', '2026-03-28T23:00Z', '2026-03-29T22:00Z', '2026-03-30T22:00Z'],
    ['2026-10-23T22:00Z', '2026-10-24T22:00Z', '2026-10-25T23:00Z', '2026-10-26T23:00Z'],
  ],
};
const HOURS = [
  [24, 23, 24],
  [24, 25, 24],
];

/** Watts of an hour: whole, and none like its neighbour. */
const wattsOf = (startMs: number) => 100 + (((startMs / HOUR_MS) * 7_919) % 5_003);

/** A pool of the namespace whose sessions are in a zone of their own. */
async function poolIn(databaseZone: string, namespace: string) {
  const url = new URL(engine.url);
  url.searchParams.set('options', `-c search_path=${namespaceSchema(namespace)} -c TimeZone=${databaseZone}`);
  return openPool(url.toString(), 'test zone', 1);
}

describe('daily sums', () => {
  for (const [timeZone, changes] of Object.entries(DAYS))
    for (const [i, days] of changes.entries())
      it(`are those of ${timeZone} when its clocks go ${i === 0 ? 'forward' : 'back'}`, () =>
        withProjection(engine, seriesProjection, async (world) => {
          const starts = days.map((day) => Date.parse(day));
          const [fromMs, toMs] = [starts[0], starts[3]];
          const hours = Array.from({ length: (toMs - fromMs) / HOUR_MS + 48 }, (_, hour) => fromMs + (hour - 24) * HOUR_MS);
          const windows = hours.map((startMs) => ({ startMs, mean: wattsOf(startMs) }));
          await world.log.append([windowsRecord(world.codec, 's', 'p', windows, HOUR_MS)]);
          await advanceAll(world);
          const boundsMs = calendarBounds('day', timeZone, fromMs, toMs);
          assert.deepEqual(boundsMs, starts);
          assert.equal(widthOfBounds(boundsMs), '60m');
          for (const bound of boundsMs) assert.match(rendered(bound, timeZone), /T00:00:00\+0[123]:00$/);
          const { rows: refs } = await world.store.pool.query('SELECT point_ref FROM point_ref');
          for (const databaseZone of ['UTC', timeZone, 'America/New_York', 'Pacific/Apia']) {
            const pool = await poolIn(databaseZone, world.log.namespace);
            try {
              const filter = { asOfMs: null, worstQuality: 3, leastCompleteness: 0, limit: 10 };
              const { rows } = await seriesCalendar(pool, { pointRef: refs[0].point_ref, width: '60m', boundsMs, ...filter });
              assert.deepEqual(
                rows.map(({ startMs, endMs, energyMilliWh }) => [startMs, (endMs - startMs) / HOUR_MS, energyMilliWh]),
                HOURS[i].map((length, day) => [
                  starts[day],
                  length,
                  Array.from({ length }, (_, hour) => wattsOf(starts[day] + hour * HOUR_MS) * 1_000).reduce((a, b) => a + b),
                ]),
                databaseZone,
              );
            } finally {
              await pool.end();
            }
          }
        }));
});
