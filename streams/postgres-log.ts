/** The log on PostgreSQL: one row per batch, one round trip per append or step. See postgres-log.sql for the tables. */

import { dropRepeats, type Group, groupByPartition, type Packed, pack, TopicTable } from './append-groups.ts';
import { unpackBatch } from './batch.ts';
import { IflexError } from './errors.ts';
import type {
  AppendResult,
  EventLog,
  KeptSnapshot,
  NewRecord,
  Positions,
  ReadOptions,
  ReadResult,
  StepJournalEntry,
  TaskHandle,
  TopicPartition,
} from './event-log.ts';
import { binary, type Client, databaseError, inTransaction, openPool, type Pool, reached } from './postgres.ts';
import { Listener } from './postgres-listener.ts';
import { compactPartition } from './postgres-log-compaction.ts';
import { namespaceSchema, prepareNamespace, withSearchPath } from './postgres-log-namespace.ts';
import { readJournal, readKeptSnapshot, readPositions, takeTaskState, taskHandle } from './postgres-log-task.ts';
import { Patience } from './retry.ts';
import { TOPICS, type Topic } from './topics.ts';

export { createNamespaceSchema, dropNamespace, namespaceSchema, withSearchPath } from './postgres-log-namespace.ts';

export interface PostgresLogOptions {
  url: string;
  namespace: string;
  /** Other topics than those of the pipeline. */
  topics?: readonly Topic[];
}

/** Opens (and where needed creates) the log of a namespace. Throws CONFIG_INVALID or DATABASE_UNREACHABLE. */
export async function openPostgresLog({ url, namespace, topics = TOPICS }: PostgresLogOptions): Promise<EventLog> {
  const schema = namespaceSchema(namespace);
  const pool = await openPool(withSearchPath(url, schema), `log ${namespace}`);
  try {
    await prepareNamespace(pool, schema, topics);
    const listener = await Listener.open(url, schema);
    return new PostgresLog({
      namespace,
      schema,
      pool,
      listener,
      topics: new TopicTable(topics),
    });
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** The statement of an append; `channel` is an identifier. */
export function appendStatement(channel: string): string {
  return `SELECT log_append($1::text[], $2::int[], $3::int[], $4::int[], $5::bytea, $6::int[], $7::text[], $8::bigint[], $9::bigint[]),
    pg_notify('${channel}', '')`;
}

/**
 * Per request the batch that holds the offset, and those after it up to the bounds. One statement sees one moment of the
 * database, which makes the look consistent.
 */
export const READ_STATEMENT = `
SELECT r.ordinal::int4 AS ordinal, p.next_offset, b.first_offset, b.end_offset, b.appended_ms, b.payload
FROM unnest($1::text[], $2::int[], $3::bigint[]) WITH ORDINALITY AS r (topic, partition, wanted, ordinal)
JOIN log_partition p ON p.topic = r.topic AND p.partition = r.partition
LEFT JOIN LATERAL (
  SELECT * FROM (
    SELECT first_offset, end_offset, appended_ms, payload, sum(payload_bytes) OVER (ORDER BY first_offset) - payload_bytes AS bytes_before
    FROM (SELECT * FROM log_batch lb WHERE lb.topic = r.topic AND lb.partition = r.partition AND lb.end_offset > r.wanted
      AND lb.first_offset >= coalesce((SELECT max(first_offset) FROM log_batch m
        WHERE m.topic = r.topic AND m.partition = r.partition AND m.first_offset <= r.wanted), 0)
      ORDER BY first_offset LIMIT 256) candidates
  ) counted WHERE bytes_before < $4 AND (bytes_before = 0 OR first_offset < r.wanted + $5)
) b ON true
ORDER BY r.ordinal, b.first_offset`;

interface BatchRow {
  ordinal: number;
  next_offset: number;
  first_offset: number | null;
  end_offset: number;
  appended_ms: number;
  payload: Buffer;
}

interface Parts {
  namespace: string;
  schema: string;
  pool: Pool;
  listener: Listener;
  topics: TopicTable;
}

class PostgresLog implements EventLog {
  readonly namespace: string;
  private readonly schema: string;
  private readonly pool: Pool;
  private readonly listener: Listener;
  private readonly topics: TopicTable;
  private readonly closing = new AbortController();

  constructor({ namespace, schema, pool, listener, topics }: Parts) {
    this.namespace = namespace;
    this.schema = schema;
    this.pool = pool;
    this.listener = listener;
    this.topics = topics;
  }

  async append(records: NewRecord[]): Promise<AppendResult> {
    if (records.length === 0) return { appended: 0, redelivered: 0 };
    const groups = groupByPartition(records, this.topics);
    const repeated = dropRepeats(groups);
    const packed = pack(groups);
    const attempt = async () => {
      if (await this.appendPacked(this.pool, packed)) return { appended: records.length - repeated, redelivered: repeated };
      const appended = await inTransaction(this.pool, (client) => this.appendFresh(client, groups));
      return { appended, redelivered: records.length - appended };
    };
    const patience = new Patience();
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        // Only numbered records are known again where an attempt was committed, but its answer lost.
        const mayRepeat = groups.every((group) => group.records.every(({ headers }) => headers.number >= 0));
        if (!mayRepeat || this.closing.signal.aborted) throw databaseError(error);
        await reached(patience.afterFailure(error, this.closing.signal));
      }
    }
  }

  /** False, and nothing is appended, where some of it was delivered before. */
  private async appendPacked(client: Pool | Client, packed: Packed): Promise<boolean> {
    const { topics, partitions, counts, sizes, blob, sourceBatch, sourceNames, sourceFirst, sourceLast } = packed;
    try {
      await client.query({
        name: 'log_append',
        text: appendStatement(this.schema),
        values: [topics, partitions, counts, sizes, blob, sourceBatch, sourceNames, sourceFirst, sourceLast],
      });
      return true;
    } catch (error) {
      if ((error as Error).message.includes('IFLEX_REDELIVERY')) return false;
      throw error;
    }
  }

  /** Locks the partitions and appends what their sources have not delivered before; returns how many that were. */
  private async appendFresh(client: Client, groups: readonly Group[]): Promise<number> {
    const fresh: NewRecord[] = [];
    for (const { topic, partition, sources, records } of groups) {
      await client.query('SELECT FROM log_partition WHERE topic = $1 AND partition = $2 FOR UPDATE', [topic, partition]);
      const { rows } = await client.query(
        'SELECT source, last_number FROM log_source WHERE topic = $1 AND partition = $2 AND source = ANY ($3)',
        [topic, partition, [...sources.keys()]],
      );
      const last = new Map(rows.map((row: { source: string; last_number: number }) => [row.source, row.last_number]));
      for (const record of records) {
        const { source, number } = record.headers;
        if (number < 0 || number > (last.get(source) ?? -1)) fresh.push(record);
      }
    }
    if (fresh.length === 0) return 0;
    const freshGroups = groupByPartition(fresh, this.topics);
    dropRepeats(freshGroups);
    await this.appendPacked(client, pack(freshGroups));
    return fresh.length;
  }

  async read(at: TopicPartition, offset: number, options: ReadOptions): Promise<ReadResult> {
    return (await this.readMany([{ at, offset }], options))[0];
  }

  async readMany(requests: { at: TopicPartition; offset: number }[], options: ReadOptions): Promise<ReadResult[]> {
    for (const { at } of requests) this.topics.find(at.topic, at.partition);
    const topics = requests.map(({ at }) => at.topic);
    const partitions = requests.map(({ at }) => at.partition);
    const offsets = requests.map(({ offset }) => offset);
    const query = binary(READ_STATEMENT, [topics, partitions, offsets, options.maxBytes, options.maxRecords], 'log_read');
    const { rows } = await reached(this.pool.query<BatchRow>(query));
    const results: ReadResult[] = requests.map(({ offset }) => ({ records: [], nextOffset: offset }));
    for (const row of rows) {
      const { at, offset } = requests[row.ordinal - 1];
      takeBatch(results[row.ordinal - 1], row, at, offset, options.maxRecords);
    }
    return results;
  }

  async offsetAtAppendedTime({ topic, partition }: TopicPartition, appendedMs: number): Promise<number> {
    this.topics.find(topic, partition);
    const text = `SELECT coalesce((SELECT min(first_offset) FROM log_batch WHERE topic = $1 AND partition = $2 AND appended_ms >= $3),
      (SELECT next_offset FROM log_partition WHERE topic = $1 AND partition = $2)) AS offset`;
    const { rows } = await reached(this.pool.query(text, [topic, partition, Math.ceil(appendedMs)]));
    return rows[0].offset;
  }

  async endOffsets(topic: string): Promise<number[]> {
    this.topics.find(topic);
    const text = 'SELECT next_offset FROM log_partition WHERE topic = $1 ORDER BY partition';
    const { rows } = await reached(this.pool.query(text, [topic]));
    return rows.map((row: { next_offset: number }) => row.next_offset);
  }

  async takeTask(partition: number): Promise<TaskHandle> {
    const { pool, topics, schema } = this;
    const { epoch, state } = await reached(inTransaction(pool, (client) => takeTaskState(client, partition)));
    return taskHandle({ pool, topics, channel: schema }, partition, epoch, state);
  }

  taskPositions(partition: number): Promise<Positions> {
    return reached(readPositions(this.pool, partition));
  }

  keptSnapshot(partition: number, label: string, atOrBeforeMs: number): Promise<KeptSnapshot | null> {
    return reached(readKeptSnapshot(this.pool, partition, label, atOrBeforeMs));
  }

  journal(partition: number, fromStep: number, maxSteps: number): Promise<{ step: number; entries: StepJournalEntry[] }[]> {
    return reached(readJournal(this.pool, partition, fromStep, maxSteps));
  }

  async compact(topic: string): Promise<{ removed: number }> {
    const { cleanup, partitions } = this.topics.find(topic);
    if (cleanup !== 'compact') throw new IflexError('CONFIG_INVALID', `The topic ${topic} is not a compacted one.`);
    let removed = 0;
    for (let partition = 0; partition < partitions; partition++)
      removed += await reached(compactPartition(this.pool, this, { topic, partition }));
    return { removed };
  }

  async retain(topic: string, beforeAppendedMs: number): Promise<{ removed: number }> {
    if (this.topics.find(topic).cleanup !== 'retain')
      throw new IflexError('CONFIG_INVALID', `The topic ${topic} keeps its events; it has no retention.`);
    const text = `WITH gone AS (DELETE FROM log_batch WHERE topic = $1 AND appended_ms < $2 RETURNING end_offset - first_offset AS records)
      SELECT coalesce(sum(records), 0)::bigint AS removed FROM gone`;
    const { rows } = await reached(this.pool.query(text, [topic, Math.ceil(beforeAppendedMs)]));
    return { removed: rows[0].removed };
  }

  waitForAppend(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return this.listener.wait(timeoutMs, signal);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all([this.listener.close(), this.pool.end()]);
  }
}

/** Adds the records of a batch to a result, and moves on where it ends. */
function takeBatch(result: ReadResult, row: BatchRow, at: TopicPartition, offset: number, maxRecords: number): void {
  const { records } = result;
  if (row.first_offset === null) result.nextOffset = Math.max(offset, row.next_offset);
  else if (records.length < maxRecords) {
    const place = { topic: at.topic, partition: at.partition, firstOffset: row.first_offset, appendedMs: row.appended_ms };
    unpackBatch(row.payload, place, offset, maxRecords - records.length, records);
    result.nextOffset = records.length === maxRecords ? records[maxRecords - 1].offset + 1 : row.end_offset;
  }
}
