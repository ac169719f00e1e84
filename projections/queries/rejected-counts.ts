import type { Pool } from '../../streams/postgres.ts';

/** Rejected events and readings by code. */
export async function rejectedCounts(pool: Pool): Promise<{ code: string; events: number; readings: number }[]> {
  const { rows } = await pool.query(
    'SELECT code, count(*) AS events, sum(reading_count)::bigint AS readings FROM rejected GROUP BY code ORDER BY code',
  );
  return rows;
}

/** Of each partition the first events at or after the given offset, by code; `nextOffset` is after the last one counted. */
export async function countRejected(
  pool: Pool,
  fromOffsets: readonly number[],
  eventsOfPartition: number,
): Promise<{ partition: number; code: string; events: number; readings: number; nextOffset: number }[]> {
  const { rows } = await pool.query({
    name: 'count-rejected',
    text: `SELECT place::int - 1 AS partition, code, count(*) AS events, sum(reading_count)::bigint AS readings,
        max(topic_offset) + 1 AS "nextOffset"
      FROM unnest($1::bigint[]) WITH ORDINALITY AS start (from_offset, place), LATERAL (
        SELECT code, reading_count, topic_offset FROM rejected
        WHERE topic_partition = place::int - 1 AND topic_offset >= from_offset ORDER BY topic_offset LIMIT $2) AS slice
      GROUP BY place, code`,
    values: [fromOffsets, eventsOfPartition],
  });
  return rows;
}
