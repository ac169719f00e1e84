import type { Pool } from '../../streams/postgres.ts';
import { SERIES_TABLES } from '../series.ts';
import { epochMs, instant } from './epoch-ms.ts';

export type SeriesWidth = keyof typeof SERIES_TABLES;

/** One window, or one span of the calendar. Energy in milliwatt-hours; null for temperatures and states. */
export interface WindowRow {
  startMs: number;
  endMs: number;
  knownAtMs: number;
  energyMilliWh: number | null;
  mean: number;
  min: number;
  max: number;
  last: number;
  readingCount: number;
  coveredMs: number;
  measuredMs: number;
  quality: number;
  flags: number;
  revision: number;
  reason: number;
}

export interface WindowsAsk {
  pointRef: number;
  width: SeriesWidth;
  /** Windows that start in [fromMs, toMs). */
  fromMs: number;
  toMs: number;
  /** As known at this time; null: all that is known now. */
  asOfMs: number | null;
  /** Worst quality that is shown, and least covered part of a window. */
  worstQuality: number;
  leastCompleteness: number;
  limit: number;
}

export interface WindowsPage {
  /** At most `limit`. */
  rows: WindowRow[];
  /** Where there are more: when the latest of what the span holds became known, so that further pages show the same state. */
  horizonMs: number | null;
}

const WIDTH_MS: Record<SeriesWidth, number> = { '5m': 300_000, '15m': 900_000, '60m': 3_600_000 };
const SPAN = `point_ref = $1 AND start_at >= ${instant(2)} AND start_at < ${instant(3)}`;

/** Rows of a table and its history that hold at a time of knowledge: of each window the latest revision known by then. */
export function knownRows(table: string, span: string, asOfParameter: number): string {
  const known = `${span} AND known_at <= ${instant(asOfParameter)}`;
  const every = `SELECT * FROM ${table} WHERE ${known} UNION ALL SELECT * FROM ${table}_history WHERE ${known}`;
  return `(SELECT DISTINCT ON (start_at) * FROM (${every}) AS every ORDER BY start_at, revision DESC)`;
}

/** Columns that windows and sums over the calendar have in common. */
export const VALUE_COLUMNS = `${epochMs('known_at')} AS "knownAtMs", energy_mwh AS "energyMilliWh", mean, min, max, last,
  reading_count AS "readingCount", covered_ms::bigint AS "coveredMs", measured_ms::bigint AS "measuredMs", quality, flags, revision, reason`;

/** Where a page (with one row more than its limit, $4) is not the last: when the latest of the span became known; else null. */
export function horizon(page: string, knownColumn: string, table: string, span: string): string {
  const latest = `SELECT ${epochMs(`max(${knownColumn})`)} FROM ${table} WHERE ${span}`;
  return `CASE WHEN (SELECT count(*) FROM ${page}) > $4 THEN (${latest}) END AS "horizonMs"`;
}

/** Windows of a point in ascending order. */
export async function seriesWindows(pool: Pool, ask: WindowsAsk): Promise<WindowsPage> {
  const table = SERIES_TABLES[ask.width];
  const values: unknown[] = [ask.pointRef, ask.fromMs, ask.toMs, ask.limit, ask.worstQuality, ask.leastCompleteness * WIDTH_MS[ask.width]];
  if (ask.asOfMs !== null) values.push(ask.asOfMs);
  const source = ask.asOfMs === null ? `(SELECT * FROM ${table} WHERE ${SPAN})` : knownRows(table, SPAN, 7);
  const { rows } = await pool.query({
    name: `series-windows ${ask.width} ${ask.asOfMs === null ? 'now' : 'as-of'}`,
    text: `WITH page AS MATERIALIZED (SELECT * FROM ${source} AS known WHERE quality <= $5 AND covered_ms >= $6
        ORDER BY start_at LIMIT $4::int + 1)
      SELECT ${epochMs('start_at')} AS "startMs", ${epochMs('start_at')} + ${WIDTH_MS[ask.width]} AS "endMs", ${VALUE_COLUMNS},
        ${horizon('page', 'known_at', table, SPAN)}
      FROM page ORDER BY start_at`,
    values,
  });
  return pageOf(rows, ask.limit);
}

export function pageOf(rows: (WindowRow & { horizonMs: number | null })[], limit: number): WindowsPage {
  return { rows: rows.slice(0, limit), horizonMs: rows[0]?.horizonMs ?? null };
}
