/** Issued forecasts by belief time: an issue is never overwritten. */
import type { ForecastIssued } from '../schemas/types.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import { readSql } from './migrations.ts';
import type { Projection } from './projection.ts';

const COLUMNS = ['point_ref', 'issued_at', 'start_at', 'width_ms', 'model', 'method', 'q10_w', 'q50_w', 'q90_w', 'residual_count'] as const;

export const forecastsProjection: Projection = {
  name: 'forecasts',
  version: 1,
  sql: readSql('forecasts.v1.sql'),
  topics: ['forecasts'],
  tables: ['forecast'],
  load: { indexLater: () => ['forecast'] },
  async apply(client, table, events, refs) {
    const rows = await refs.during((refOf) => {
      const rows = new BinaryRows();
      for (const { value } of events) {
        const issue = value as ForecastIssued;
        writeIssue(rows, refOf(issue.siteId, issue.pointId), issue);
      }
      return rows;
    });
    await copyRows(client, table('forecast'), COLUMNS, rows);
  },
};

function writeIssue(rows: BinaryRows, pointRef: number, issue: ForecastIssued): void {
  rows.segment(pointRef, issue.startMs[0] ?? 0);
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
