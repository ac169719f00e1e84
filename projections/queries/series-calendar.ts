import type { Pool } from '../../streams/postgres.ts';
import { SERIES_TABLES } from '../series.ts';
import { instant } from './epoch-ms.ts';
import { horizon, knownRows, pageOf, type SeriesWidth, VALUE_COLUMNS, type WindowsPage } from './series-windows.ts';

/** Starts of the spans, ascending. */
const STARTS = 'ARRAY (SELECT to_timestamp(s / 1000.0) FROM unnest($7::float8[]) AS s ORDER BY s)';

export interface CalendarAsk {
  pointRef: number;
  /** Width of the windows that are added up; the bounds must be multiples of it. */
  width: SeriesWidth;
  /** Ascending bounds of adjacent spans (ms): n + 1 for n spans. */
  boundsMs: readonly number[];
  asOfMs: number | null;
  worstQuality: number;
  leastCompleteness: number;
  limit: number;
}

/**
 * Windows added up over spans of the calendar (local days, weeks, months), in ascending order. Energy is a sum of
 * integers, so it is exact; the mean is weighted by what is covered; the quality is the worst of what went in. Spans
 * without any window are left out.
 */
export async function seriesCalendar(pool: Pool, ask: CalendarAsk): Promise<WindowsPage> {
  const table = SERIES_TABLES[ask.width];
  const span = `point_ref = $1 AND start_at >= ${instant(2)} AND start_at < ${instant(3)}`;
  const starts = ask.boundsMs.slice(0, -1);
  const ends = ask.boundsMs.slice(1);
  const values: unknown[] = [
    ask.pointRef,
    ask.boundsMs[0],
    ask.boundsMs.at(-1),
    ask.limit,
    ask.worstQuality,
    ask.leastCompleteness,
    starts,
    ends,
  ];
  if (ask.asOfMs !== null) values.push(ask.asOfMs);
  const source = ask.asOfMs === null ? `(SELECT * FROM ${table} WHERE ${span})` : knownRows(table, span, 9);
  const { rows } = await pool.query({
    name: `series-calendar ${ask.width} ${ask.asOfMs === null ? 'now' : 'as-of'}`,
    text: `WITH bucketed AS (SELECT *, width_bucket(start_at, ${STARTS}) AS bucket FROM ${source} AS known),
      summed AS (SELECT ($7::float8[])[bucket] AS start_ms, ($8::float8[])[bucket] AS end_ms, max(known_at) AS known_at,
        sum(energy_mwh)::bigint AS energy_mwh, coalesce(sum(mean * covered_ms) / nullif(sum(covered_ms), 0), 0) AS mean,
        coalesce(min(min) FILTER (WHERE covered_ms > 0), 0) AS min, coalesce(max(max) FILTER (WHERE covered_ms > 0), 0) AS max,
        coalesce((array_agg(last ORDER BY start_at DESC) FILTER (WHERE covered_ms > 0))[1], 0) AS last,
        sum(reading_count)::bigint AS reading_count, sum(covered_ms)::bigint AS covered_ms, sum(measured_ms)::bigint AS measured_ms,
        coalesce(max(quality) FILTER (WHERE covered_ms > 0), 3) AS quality, bit_or(flags) AS flags, max(revision) AS revision,
        max(reason) AS reason FROM bucketed GROUP BY bucket),
      page AS MATERIALIZED (SELECT * FROM summed WHERE quality <= $5 AND covered_ms >= $6 * (end_ms - start_ms)
        ORDER BY start_ms LIMIT $4::int + 1)
      SELECT start_ms::bigint AS "startMs", end_ms::bigint AS "endMs", ${VALUE_COLUMNS}, ${horizon('page', 'known_at', table, span)}
      FROM page ORDER BY start_ms`,
    values,
  });
  return pageOf(rows, ask.limit);
}
