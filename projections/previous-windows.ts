/** Windows emitted so far of days that are to be reloaded, with a digest of their values. */
import type { DayReloaded } from '../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../streams/limits.ts';
import type { WantedDay } from './raw-days.ts';
import { SERIES_TABLES } from './series.ts';
import type { ProjectionStore } from './store.ts';

/** With the hours of the day before, which tell whether the meter was stuck already. */
const WIDTHS = [
  { widthMs: 5 * MINUTE_MS, table: SERIES_TABLES['5m'], beforeMs: 0 },
  { widthMs: 15 * MINUTE_MS, table: SERIES_TABLES['15m'], beforeMs: 0 },
  { widthMs: HOUR_MS, table: SERIES_TABLES['60m'], beforeMs: DAY_MS },
];

interface WindowRow {
  place: number;
  start_ms: number;
  revision: number;
  energy: number;
  mean: number;
  min: number;
  max: number;
  last: number;
  reading_count: number;
  covered_ms: number;
  measured_ms: number;
  quality: number;
  flags: number;
}

/** As the resampler writes it. Not by the database, whose text of a number may differ (5e-05, -0). */
function digestOf(row: WindowRow): string {
  return [row.energy, row.mean, row.min, row.max, row.last, row.reading_count, row.covered_ms, row.measured_ms, row.quality].join(' ');
}

/** Of each wanted day of one site: what each width has now, absolute starts. */
export async function previousWindows(
  store: ProjectionStore,
  siteId: string,
  wanted: readonly WantedDay[],
): Promise<Map<WantedDay, DayReloaded['previous']>> {
  const found = new Map(wanted.map((day) => [day, [] as DayReloaded['previous']]));
  for (const { widthMs, table, beforeMs } of WIDTHS) {
    const { rows } = await store.pool.query(
      `SELECT d.place::int AS place, (extract(epoch FROM w.start_at) * 1000)::bigint AS start_ms, w.revision,
         coalesce(w.energy_mwh, 0) AS energy, w.mean, w.min, w.max, w.last, w.reading_count, w.covered_ms, w.measured_ms, w.quality, w.flags
       FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS d (point_id, day_ms, place)
       JOIN point_ref r ON r.site_id = $1 AND r.point_id = d.point_id
       JOIN ${table} w ON w.point_ref = r.point_ref AND w.start_at >= to_timestamp((d.day_ms - $5) / 1000.0) AND w.start_at < to_timestamp((d.day_ms + $4) / 1000.0)
       ORDER BY d.place, w.start_at`,
      [siteId, wanted.map((day) => day.pointId), wanted.map((day) => day.dayStartMs), DAY_MS, beforeMs],
    );
    const places: WindowRow[][] = wanted.map(() => []);
    for (const row of rows as WindowRow[]) places[row.place - 1].push(row);
    places.forEach((windows, i) => {
      found.get(wanted[i])!.push({
        widthMs,
        startMs: windows.map((row) => row.start_ms),
        revision: windows.map((row) => row.revision),
        digest: windows.map(digestOf),
        flags: Uint8Array.from(windows, ({ flags }) => flags),
      });
    });
  }
  return found;
}
