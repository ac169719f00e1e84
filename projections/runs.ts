/** Runs of tasks: every derived event carries the id of one, which says what code and settings made it. */
import type { RunStarted } from '../schemas/types.ts';
import { readSql } from './migrations.ts';
import type { Projection } from './projection.ts';

export const runsProjection: Projection = {
  name: 'runs',
  version: 1,
  sql: readSql('runs.v1.sql'),
  topics: ['runs'],
  tables: ['run'],
  async apply(client, table, events) {
    for (const { record, value } of events) {
      const run = value as RunStarted;
      await client.query(
        `INSERT INTO ${table('run')} VALUES ($1, $2, $3, to_timestamp($4 / 1000.0), to_timestamp($5 / 1000.0), $6, $7, $8, $9, $10, $11)`,
        [
          record.partition,
          record.offset,
          run.runId,
          record.appendedMs,
          run.knownAtMs,
          run.codeVersion,
          run.configurationHash,
          run.processors,
          run.seed,
          JSON.stringify(run.models),
          JSON.stringify(run.schemas),
        ],
      );
    }
  },
};
