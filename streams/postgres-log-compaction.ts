/** Compaction of one partition of a compacted topic: batches are rewritten with holes, latest records stay in place. */
import { packBatch, unpackBatch } from './batch.ts';
import type { EventLog, LogRecord, TopicPartition } from './event-log.ts';
import { MAX_STEP_BYTES } from './limits.ts';
import { binary, inTransaction, type Pool } from './postgres.ts';

/** Two passes in bounded memory: find the latest offset of each key, then rewrite the batches that hold older ones. */
export async function compactPartition(pool: Pool, log: EventLog, at: TopicPartition): Promise<number> {
  const latest = new Map<string, number>();
  const options = { maxRecords: 100_000, maxBytes: MAX_STEP_BYTES };
  for (let offset = 0; ; ) {
    const { records, nextOffset } = await log.read(at, offset, options);
    for (const record of records) latest.set(record.key, record.offset);
    if (nextOffset === offset) break;
    offset = nextOffset;
  }
  let removed = 0;
  for (let after = -1; ; ) {
    const { rows } = await pool.query(
      binary(
        'SELECT first_offset, end_offset, appended_ms, payload FROM log_batch WHERE topic = $1 AND partition = $2 AND first_offset > $3 ORDER BY first_offset LIMIT 1',
        [at.topic, at.partition, after],
      ),
    );
    const row = rows[0] as { first_offset: number; end_offset: number; appended_ms: number; payload: Buffer } | undefined;
    if (!row) return removed;
    after = row.first_offset;
    removed += await rewriteBatch(pool, at, row, latest);
  }
}

async function rewriteBatch(
  pool: Pool,
  at: TopicPartition,
  row: { first_offset: number; appended_ms: number; payload: Buffer },
  latest: Map<string, number>,
): Promise<number> {
  const records: LogRecord[] = [];
  const place = { ...at, firstOffset: row.first_offset, appendedMs: row.appended_ms };
  unpackBatch(row.payload, place, 0, Number.MAX_SAFE_INTEGER, records);
  // A key first seen after the first pass is not in the map: its records stay for the next compaction.
  const kept = records.filter((record) => record.offset >= (latest.get(record.key) ?? 0));
  if (kept.length === records.length) return 0;
  const where = [at.topic, at.partition, row.first_offset];
  await inTransaction(pool, async (client) => {
    if (kept.length === 0) await client.query('DELETE FROM log_batch WHERE topic = $1 AND partition = $2 AND first_offset = $3', where);
    else {
      const payload = packBatch(
        kept,
        kept.map((record) => record.offset - row.first_offset),
      );
      await client.query(
        'UPDATE log_batch SET payload = $4, payload_bytes = $5 WHERE topic = $1 AND partition = $2 AND first_offset = $3',
        [...where, payload, payload.length],
      );
    }
  });
  return records.length - kept.length;
}
