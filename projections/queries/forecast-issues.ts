import type { Pool } from '../../streams/postgres.ts';
import { epochMs, instant } from './epoch-ms.ts';
import { horizon } from './series-windows.ts';

export interface ForecastRow {
  startMs: number;
  endMs: number;
  issuedAtMs: number;
  model: string;
  method: string;
  q10W: number;
  q50W: number;
  q90W: number;
  residualCount: number;
}

export interface ForecastsAsk {
  pointRef: number;
  fromMs: number;
  toMs: number;
  /** Issues made by then; null: all. */
  asOfMs: number | null;
  /** Of each slot the latest issue only. */
  latestOnly: boolean;
  /** Place of the last row of the page before. */
  after: { startMs: number; issuedAtMs: number } | null;
  limit: number;
}

export interface ForecastsPage {
  rows: ForecastRow[];
  /** Where there are more: when the latest issue of the span was made. */
  horizonMs: number | null;
}

/** Forecasts of a point for slots that start in [fromMs, toMs), by slot, then by belief time. */
export async function forecastIssues(pool: Pool, ask: ForecastsAsk): Promise<ForecastsPage> {
  const span = `point_ref = $1 AND start_at >= ${instant(2)} AND start_at < ${instant(3)}
    AND ($5::float8 IS NULL OR issued_at <= ${instant(5)})`;
  const { text, values } = ask.latestOnly ? latestIssues(ask, span) : allIssues(ask, span);
  const { rows } = await pool.query({
    name: `forecast-issues ${ask.latestOnly ? 'latest' : 'all'}`,
    text: `WITH page AS MATERIALIZED (${text} LIMIT $4::int + 1)
      SELECT ${epochMs('start_at')} AS "startMs", ${epochMs('start_at')} + width_ms AS "endMs", ${epochMs('issued_at')} AS "issuedAtMs",
        model, method, q10_w AS "q10W", q50_w AS "q50W", q90_w AS "q90W", residual_count AS "residualCount",
        ${horizon('page', 'issued_at', 'forecast', span)}
      FROM page ORDER BY start_at, issued_at`,
    values: [ask.pointRef, ask.fromMs, ask.toMs, ask.limit, ask.asOfMs, ...values],
  });
  return { rows: rows.slice(0, ask.limit), horizonMs: rows[0]?.horizonMs ?? null };
}

function latestIssues({ after }: ForecastsAsk, span: string): { text: string; values: unknown[] } {
  return {
    text: `SELECT DISTINCT ON (start_at) * FROM forecast WHERE ${span} AND ($6::float8 IS NULL OR start_at > ${instant(6)})
      ORDER BY start_at, issued_at DESC`,
    values: [after?.startMs ?? null],
  };
}

function allIssues({ after }: ForecastsAsk, span: string): { text: string; values: unknown[] } {
  return {
    text: `SELECT * FROM forecast WHERE ${span} AND ($6::float8 IS NULL OR (start_at, issued_at) > (${instant(6)}, ${instant(7)}))
      ORDER BY start_at, issued_at`,
    values: [after?.startMs ?? null, after?.issuedAtMs ?? null],
  };
}
