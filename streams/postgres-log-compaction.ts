/** Compaction of one partition of a compacted topic: batches are rewritten with holes, latest records stay in place. */
import { packBatch, unpackBatch } from './batch.ts';
import type { EventLog, LogRecord, TopicPartition } from './event-log.ts';
import { MAX_BATCH_RECORDS, MAX_STEP_BYTES } from './limits.ts';
import { binary, inTransaction, type Pool } from './postgres.ts';

/** Two passes in bounded memory: find the latest offset of each key, then rewrite the batches that hold older ones. */
export async function compactPartition(pool: Pool, log: EventLog, at: TopicPartition): Promise<number> {
  const latest = new Map<string, number>();
  const options = { maxRecords: MAX_BATCH_RECORDS, maxBytes: MAX_STEP_BYTES };
  for (let offset = 0; ; ) {
    const { records, nextOffset } = await log.read(at, offset, options);
    for (const record of records) latest.set(record.key, record.offset);
    if (nextOffset === offset) break;
    offset = nextOffset;
  }
  const batches = await pool.query('SELECT first_offset FROM log_batch WHERE topic = $1 AND partition = $2 ORDER BY first_offset', [
    at.topic,
    at.partition,
  ]);
  let removed = 0;
  for (const { first_offset } of batches.rows as { first_offset: number }[]) removed += await rewriteBatch(pool, at, first_offset, latest);
  return removed;
}

/** Returns how many records it removed. The row is locked, as another process may compact at the same time. */
function rewriteBatch(pool: Pool, at: TopicPartition, firstOffset: number, latest: Map<string, number>): Promise<number> {
  const where = [at.topic, at.partition, firstOffset];
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query(
      binary('SELECT appended_ms, payload FROM log_batch WHERE topic = $1 AND partition = $2 AND first_offset = $3 FOR UPDATE', where),
    );
    const row = rows[0] as { appended_ms: number; payload: Buffer } | undefined;
    if (!row) return 0;
    const records: LogRecord[] = [];
    unpackBatch(row.payload, { ...at, firstOffset, appendedMs: row.appended_ms }, 0, Number.MAX_SAFE_INTEGER, records);
    // A key first seen after the first pass is not in the map: its records stay for the next compaction.
    const kept = records.filter((record) => record.offset >= (latest.get(record.key) ?? 0));
    if (kept.length === records.length) return 0;
    if (kept.length === 0) await client.query('DELETE FROM log_batch WHERE topic = $1 AND partition = $2 AND first_offset = $3', where);
    else {
      const payload = packBatch(
        kept,
        kept.map((record) => record.offset - firstOffset),
      );
      // The end moves to the last record that is left, so that every batch that a reader is given has one for it.
      await client.query(
        'UPDATE log_batch SET payload = $4, payload_bytes = $5, end_offset = $6 WHERE topic = $1 AND partition = $2 AND first_offset = $3',
        [...where, payload, payload.length, kept[kept.length - 1].offset + 1],
      );
    }
    return records.length - kept.length;
  });
}
