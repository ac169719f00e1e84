/** What came out of a run, in digests that two runs have in common where they gave the same. */
import { hash } from 'node:crypto';
import { PROJECTIONS } from '../../projections/list.ts';
import { canonicalOf } from '../../replay/compare.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { isConnectionLost } from '../../streams/retry.ts';
import { TOPICS } from '../../streams/topics.ts';
import type { Tools } from './roles.ts';

/** Digests of all derived events by topic and partition, of all rows by table, and of what the API answers. */
export type Outcome = Map<string, string>;

/** Of all tasks together, as far as they can be asked for. */
export async function positionsOf({ log }: Tools): Promise<number> {
  let sum = 0;
  try {
    for (let partition = 0; partition < PARTITION_COUNT; partition++)
      for (const offset of Object.values(await log.taskPositions(partition))) sum += offset;
  } catch (error) {
    if (!isConnectionLost(error)) throw error;
  }
  return sum;
}

/** Derived topics, and the reloaded days, which the task takes as facts. */
const COMPARED = TOPICS.filter(({ kind, draft, name }) => !draft && name !== 'runs' && (kind === 'derived' || name === 'day.reloaded'));

/** Where records lie is not the same in every run where the ends of transactions are offsets too. */
const OFFSET_COLUMNS = ['topic_offset', 'first_offset', 'last_offset', 'block'];

/** `hasHoles`: offsets of the log differ from run to run. */
export async function outcomeOf({ log, codec, store }: Tools, hasHoles: boolean): Promise<Outcome> {
  const outcome: Outcome = new Map();
  for (const { name: topic } of COMPARED)
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const all: Buffer[] = [];
      for (let offset = 0; ; ) {
        const { records, nextOffset } = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: 8 * 1024 * 1024 });
        if (nextOffset === offset) break;
        for (const record of records) all.push(canonicalOf({ codec }, record));
        offset = nextOffset;
      }
      outcome.set(`${topic}/${partition}`, `${all.length} ${hash('sha256', Buffer.concat(all))}`);
    }
  // Runs differ from run to run, as topic and as rows.
  const compared = PROJECTIONS.filter(({ topics }) => !topics.includes('runs'));
  for (const table of compared.flatMap(({ tables }) => tables)) {
    // Points are numbered as they come, which differs from run to run: they are compared by their names.
    const { rows } = await store.pool.query(
      `SELECT count(*)::int AS count, md5(string_agg(line, E'\\n' ORDER BY line)) AS digest FROM (
        SELECT (to_jsonb(t) - $1::text[])::text || coalesce((SELECT site_id || ' ' || point_id FROM point_ref r
          WHERE r.point_ref = (to_jsonb(t) ->> 'point_ref')::int), '') AS line FROM ${table} t) lines`,
      [['point_ref', ...(hasHoles ? OFFSET_COLUMNS : [])]],
    );
    outcome.set(table, `${rows[0].count} ${rows[0].digest}`);
  }
  return outcome;
}
