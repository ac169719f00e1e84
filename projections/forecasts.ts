/** Issued forecasts by belief time: an issue is never overwritten. */
import type { ForecastIssued } from '../schemas/types.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import type { Projection } from './projection.ts';

const COLUMNS = ['point_ref', 'issued_at', 'start_at', 'width_ms', 'model', 'method', 'q10_w', 'q50_w', 'q90_w', 'residual_count'] as const;

export const forecastsProjection: Projection = {
  name: 'forecasts',
  version: 1,
  topics: ['forecasts'],
  tables: ['forecast'],
  create: (
    table,
  ) => `CREATE TABLE ${table('forecast')} (point_ref int, issued_at timestamptz, start_at timestamptz, width_ms int NOT NULL, model text NOT NULL, method text NOT NULL,
    q10_w float8 NOT NULL, q50_w float8 NOT NULL, q90_w float8 NOT NULL, residual_count int NOT NULL, PRIMARY KEY (point_ref, start_at, issued_at));`,
  createWithTimescale: (table) =>
    `SELECT create_hypertable('${table('forecast')}', 'start_at', chunk_time_interval => INTERVAL '30 days');`,
  async apply(client, table, events, refs) {
    const issues = events.map(({ value }) => value as ForecastIssued);
    const refOf = await refs.resolve(issues.map(({ siteId, pointId }) => [siteId, pointId] as [string, string]));
    const rows = new BinaryRows();
    for (const issue of issues) writeIssue(rows, refOf(issue.siteId, issue.pointId), issue);
    await copyRows(client, table('forecast'), COLUMNS, rows);
  },
};

function writeIssue(rows: BinaryRows, pointRef: number, issue: ForecastIssued): void {
  let startMs = 0;
  for (let i = 0; i < issue.startMs.length; i++) {
    startMs += issue.startMs[i];
    rows.begin(COLUMNS.length);
    rows.int4(pointRef);
    rows.timestamp(issue.knownAtMs);
    rows.timestamp(startMs);
    rows.int4(issue.widthMs);
    rows.text(issue.model);
    rows.text(issue.method);
    rows.float8(issue.q10W[i]);
    rows.float8(issue.q50W[i]);
    rows.float8(issue.q90W[i]);
    rows.int4(issue.residualCount[i]);
  }
}
