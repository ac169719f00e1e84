/** The log on PostgreSQL: one row per batch, one round trip per append or step. See postgres-log.sql for the tables. */
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { packBatch, unpackBatch } from './batch.ts';
import { IflexError } from './errors.ts';
import type {
  AppendResult,
  EventLog,
  NewRecord,
  Positions,
  ReadOptions,
  ReadResult,
  Step,
  StepJournalEntry,
  TaskHandle,
  TopicPartition,
} from './event-log.ts';
import { DAILY_SNAPSHOTS_KEPT, DAY_MS, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_EVENT_BYTES } from './limits.ts';
import { partitionOf } from './partitioner.ts';
import { binary, type Client, identifier, inTransaction, openClient, openPool, type Pool } from './postgres.ts';
import { compactPartition } from './postgres-log-compaction.ts';
import { findTopic, TOPICS } from './topics.ts';

export interface PostgresLogOptions {
  url: string;
  namespace: string;
}

/** Opens (and where needed creates) the log of a namespace. */
export async function openPostgresLog({ url, namespace }: PostgresLogOptions): Promise<EventLog> {
  const schema = namespaceSchema(namespace);
  const pool = await openPool(withSearchPath(url, schema), `log ${namespace}`);
  await inTransaction(pool, async (client) => {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex create namespace'))");
    const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS made', [`${schema}.recorded_schema`]);
    if (!rows[0].made) {
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
      await client.query(readFileSync(new URL('postgres-log.sql', import.meta.url), 'utf8'));
    }
    const all = TOPICS.flatMap((topic) => Array.from({ length: topic.partitions }, (_, partition) => [topic.name, partition] as const));
    await client.query('INSERT INTO log_partition (topic, partition) SELECT * FROM unnest($1::text[], $2::int[]) ON CONFLICT DO NOTHING', [
      all.map(([topic]) => topic),
      all.map(([, partition]) => partition),
    ]);
  });
  const listener = await openClient(url, `listen ${namespace}`);
  await listener.query(`LISTEN ${schema}`);
  return new PostgresLog(namespace, schema, pool, listener);
}

export function namespaceSchema(namespace: string): string {
  return `iflex_${identifier(namespace)}`;
}

/** Drops a whole namespace: log, state and projections. */
export async function dropNamespace(url: string, namespace: string): Promise<void> {
  const pool = await openPool(url, 'drop namespace', 1);
  await pool.query(`DROP SCHEMA IF EXISTS ${namespaceSchema(namespace)} CASCADE`).finally(() => pool.end());
}

export function withSearchPath(url: string, schema: string): string {
  const parsed = new URL(url);
  parsed.searchParams.set('options', `-c search_path=${schema}`);
  return parsed.toString();
}

/** Batches of an append as the parallel arrays that the SQL functions take. */
interface Packed {
  topics: string[];
  partitions: number[];
  counts: number[];
  sizes: number[];
  blob: Buffer;
  sourceBatch: number[];
  sourceNames: string[];
  sourceFirst: number[];
  sourceLast: number[];
}

class PostgresLog implements EventLog {
  readonly namespace: string;
  private readonly schema: string;
  private readonly pool: Pool;
  private readonly listener: Awaited<ReturnType<typeof openClient>>;
  private readonly appends = new EventEmitter().setMaxListeners(0);

  constructor(namespace: string, schema: string, pool: Pool, listener: Awaited<ReturnType<typeof openClient>>) {
    this.namespace = namespace;
    this.schema = schema;
    this.pool = pool;
    this.listener = listener;
    listener.on('notification', () => this.appends.emit('append'));
  }

  async append(records: NewRecord[]): Promise<AppendResult> {
    if (records.length === 0) return { appended: 0, redelivered: 0 };
    const groups = groupByPartition(records);
    const distinct = withoutRepeats(groups);
    const kept = records.length - distinct.repeated;
    try {
      await this.appendPacked(this.pool, pack(distinct.groups));
      return { appended: kept, redelivered: distinct.repeated };
    } catch (error) {
      if (!(error as Error).message.includes('IFLEX_REDELIVERY')) throw translated(error);
    }
    return inTransaction(this.pool, async (client) => {
      const fresh = await this.withoutRedelivered(client, distinct.groups);
      const left = fresh.reduce((sum, group) => sum + group.records.length, 0);
      if (left > 0) await this.appendPacked(client, pack(fresh));
      return { appended: left, redelivered: records.length - left };
    });
  }

  private async appendPacked(client: Pool | Client, packed: Packed): Promise<void> {
    await client.query({
      name: 'log_append',
      text: `SELECT log_append($1::text[], $2::int[], $3::int[], $4::int[], $5::bytea, $6::int[], $7::text[], $8::bigint[], $9::bigint[]), pg_notify('${this.schema}', '')`,
      values: [
        packed.topics,
        packed.partitions,
        packed.counts,
        packed.sizes,
        packed.blob,
        packed.sourceBatch,
        packed.sourceNames,
        packed.sourceFirst,
        packed.sourceLast,
      ],
    });
  }

  /** Locks the partitions and drops what their sources have delivered before. */
  private async withoutRedelivered(client: Client, groups: Group[]): Promise<Group[]> {
    const fresh: Group[] = [];
    for (const group of groups) {
      await client.query('SELECT FROM log_partition WHERE topic = $1 AND partition = $2 FOR UPDATE', [group.topic, group.partition]);
      const { rows } = await client.query(
        'SELECT source, last_number FROM log_source WHERE topic = $1 AND partition = $2 AND source = ANY ($3)',
        [group.topic, group.partition, [...group.sources.keys()]],
      );
      const last = new Map(rows.map((row: { source: string; last_number: number }) => [row.source, row.last_number]));
      const left = group.records.filter(({ headers }) => headers.number < 0 || headers.number > (last.get(headers.source) ?? -1));
      if (left.length > 0) fresh.push(...withoutRepeats(groupByPartition(left)).groups);
    }
    return fresh;
  }

  async read(at: TopicPartition, offset: number, options: ReadOptions): Promise<ReadResult> {
    return (await this.readMany([{ at, offset }], options))[0];
  }

  async readMany(requests: { at: TopicPartition; offset: number }[], options: ReadOptions): Promise<ReadResult[]> {
    for (const { at } of requests) known(at.topic);
    const { rows } = (await this.pool.query(
      binary(
        `SELECT r.ordinal::int4 AS ordinal, p.next_offset, b.first_offset, b.end_offset, b.appended_ms, b.payload
        FROM unnest($1::text[], $2::int[], $3::bigint[]) WITH ORDINALITY AS r (topic, partition, wanted, ordinal)
        JOIN log_partition p ON p.topic = r.topic AND p.partition = r.partition
        LEFT JOIN LATERAL (
          SELECT * FROM (
            SELECT first_offset, end_offset, appended_ms, payload, sum(payload_bytes) OVER (ORDER BY first_offset) - payload_bytes AS bytes_before
            FROM (SELECT * FROM log_batch lb WHERE lb.topic = r.topic AND lb.partition = r.partition AND lb.end_offset > r.wanted
              AND lb.first_offset >= coalesce((SELECT max(first_offset) FROM log_batch m WHERE m.topic = r.topic AND m.partition = r.partition AND m.first_offset <= r.wanted), 0)
              ORDER BY first_offset LIMIT 256) candidates
          ) counted WHERE bytes_before < $4
        ) b ON true
        ORDER BY r.ordinal, b.first_offset`,
        [
          requests.map(({ at }) => at.topic),
          requests.map(({ at }) => at.partition),
          requests.map(({ offset }) => offset),
          options.maxBytes,
        ],
        'log_read',
      ),
    )) as {
      rows: {
        ordinal: number;
        next_offset: number;
        first_offset: number | null;
        end_offset: number;
        appended_ms: number;
        payload: Buffer;
      }[];
    };
    const results: ReadResult[] = requests.map(({ offset }) => ({ records: [], nextOffset: offset }));
    for (const row of rows) {
      const result = results[row.ordinal - 1];
      const { at, offset } = requests[row.ordinal - 1];
      if (row.first_offset === null) result.nextOffset = Math.max(offset, row.next_offset);
      else if (result.records.length < options.maxRecords) {
        const place = {
          topic: at.topic,
          partition: at.partition,
          firstOffset: row.first_offset,
          appendedMs: row.appended_ms,
        };
        unpackBatch(row.payload, place, offset, options.maxRecords - result.records.length, result.records);
        const lastOffset = result.records.at(-1)?.offset;
        result.nextOffset = result.records.length === options.maxRecords && lastOffset !== undefined ? lastOffset + 1 : row.end_offset;
      }
    }
    return results;
  }

  async offsetAtAppendedTime({ topic, partition }: TopicPartition, appendedMs: number): Promise<number> {
    known(topic);
    const { rows } = await this.pool.query(
      `SELECT coalesce((SELECT min(first_offset) FROM log_batch WHERE topic = $1 AND partition = $2 AND appended_ms >= $3),
        (SELECT next_offset FROM log_partition WHERE topic = $1 AND partition = $2)) AS offset`,
      [topic, partition, appendedMs],
    );
    return rows[0].offset;
  }

  async endOffsets(topic: string): Promise<number[]> {
    known(topic);
    const { rows } = await this.pool.query('SELECT next_offset FROM log_partition WHERE topic = $1 ORDER BY partition', [topic]);
    return rows.map((row: { next_offset: number }) => row.next_offset);
  }

  async takeTask(partition: number): Promise<TaskHandle> {
    // The row lock waits for a step of the former owner that is being committed; after it, that owner is fenced.
    const { rows } = await this.pool.query(
      `INSERT INTO task VALUES ($1, 1, 0, '{}') ON CONFLICT (partition) DO UPDATE SET epoch = task.epoch + 1 RETURNING epoch, step, positions`,
      [partition],
    );
    const { epoch, step, positions } = rows[0] as { epoch: number; step: number; positions: Positions };
    const [snapshots, deltas] = await Promise.all([
      this.pool.query(binary('SELECT step, label, bytes FROM task_snapshot WHERE partition = $1 ORDER BY step DESC LIMIT 1', [partition])),
      this.pool.query(binary('SELECT step, delta FROM task_delta WHERE partition = $1 ORDER BY step', [partition])),
    ]);
    const snapshot = snapshots.rows[0] as { step: number; label: string; bytes: Buffer } | undefined;
    const after = (deltas.rows as { step: number; delta: Buffer }[]).filter((row) => row.step > (snapshot?.step ?? 0));
    const state = {
      stepNumber: step,
      positions,
      snapshot: snapshot ? { label: snapshot.label, bytes: snapshot.bytes } : null,
      deltas: after.map((row) => row.delta),
    };
    let next = step + 1;
    const commit = async (given: Step) => {
      await this.commitStep(partition, epoch, next, given);
      next++;
    };
    return { partition, state, commit, release: async () => {} };
  }

  private async commitStep(partition: number, epoch: number, stepNumber: number, step: Step): Promise<void> {
    const packed = pack(groupByPartition(step.outputs));
    const { snapshot } = step;
    const text = `SELECT log_step($1::int, $2::bigint, $3::bigint, $4::jsonb, $5::jsonb, $6::bytea, $7::text, $8::bigint, $9::bytea,
      $10::text[], $11::int[], $12::int[], $13::int[], $14::bytea), pg_notify('${this.schema}', '')`;
    const values = [
      partition,
      epoch,
      stepNumber,
      JSON.stringify(step.positions),
      JSON.stringify(step.journal.map((e) => [e.topic, e.firstOffset, e.endOffset, e.count])),
      step.delta,
      snapshot?.label ?? null,
      snapshot?.streamTimeMs ?? null,
      snapshot?.bytes ?? null,
      packed.topics,
      packed.partitions,
      packed.counts,
      packed.sizes,
      packed.blob,
    ];
    await this.pool.query({ name: 'log_step', text, values }).catch((error) => {
      throw translated(error);
    });
    if (snapshot) await this.dropOldSnapshots(partition, snapshot.streamTimeMs);
  }

  /** Keeps the newest snapshot, the last of each of the latest days, and the last of each month. */
  private async dropOldSnapshots(partition: number, streamTimeMs: number): Promise<void> {
    await this.pool.query(
      `DELETE FROM task_snapshot s WHERE partition = $1
        AND EXISTS (SELECT FROM task_snapshot n WHERE n.partition = s.partition AND n.step > s.step AND n.stream_time_ms / $3 = s.stream_time_ms / $3)
        OR partition = $1 AND stream_time_ms < $2
        AND EXISTS (SELECT FROM task_snapshot n WHERE n.partition = s.partition AND n.step > s.step
          AND to_char(to_timestamp(n.stream_time_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYYMM') = to_char(to_timestamp(s.stream_time_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYYMM'))`,
      [partition, streamTimeMs - DAILY_SNAPSHOTS_KEPT * DAY_MS, DAY_MS],
    );
  }

  async taskPositions(partition: number): Promise<Positions> {
    const { rows } = await this.pool.query('SELECT positions FROM task WHERE partition = $1', [partition]);
    return (rows[0]?.positions as Positions) ?? {};
  }

  async journal(partition: number, fromStep: number, maxSteps: number): Promise<{ step: number; entries: StepJournalEntry[] }[]> {
    const { rows } = await this.pool.query(
      'SELECT step, entries FROM task_journal WHERE partition = $1 AND step >= $2 ORDER BY step LIMIT $3',
      [partition, fromStep, maxSteps],
    );
    return rows.map((row: { step: number; entries: [string, number, number, number][] }) => ({
      step: row.step,
      entries: row.entries.map(([topic, firstOffset, endOffset, count]) => ({ topic, firstOffset, endOffset, count })),
    }));
  }

  async compact(topic: string): Promise<{ removed: number }> {
    if (known(topic).cleanup !== 'compact') throw new IflexError('CONFIG_INVALID', `The topic ${topic} is not a compacted one.`);
    let removed = 0;
    const ends = await this.endOffsets(topic);
    for (let partition = 0; partition < ends.length; partition++) removed += await compactPartition(this.pool, this, { topic, partition });
    return { removed };
  }

  async retain(topic: string, beforeAppendedMs: number): Promise<{ removed: number }> {
    if (known(topic).cleanup !== 'retain')
      throw new IflexError('CONFIG_INVALID', `The topic ${topic} keeps its events; it has no retention.`);
    const { rows } = await this.pool.query(
      `WITH gone AS (DELETE FROM log_batch WHERE topic = $1 AND appended_ms < $2 RETURNING end_offset - first_offset AS records) SELECT coalesce(sum(records), 0)::bigint AS removed FROM gone`,
      [topic, beforeAppendedMs],
    );
    return { removed: rows[0].removed };
  }

  async waitForAppend(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const timeout = AbortSignal.timeout(timeoutMs);
    await once(this.appends, 'append', { signal: signal ? AbortSignal.any([timeout, signal]) : timeout }).catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all([this.listener.end().catch(() => {}), this.pool.end()]);
  }
}

interface Group {
  topic: string;
  partition: number;
  records: NewRecord[];
  /** Lowest and highest delivery number, by source. */
  sources: Map<string, { first: number; last: number }>;
}

function known(name: string) {
  const topic = findTopic(name);
  if (!topic) throw new IflexError('TOPIC_UNKNOWN', `There is no topic "${name}". \`iflex topics\` lists them.`);
  return topic;
}

/** Records by partition, in the order of the lock (topic, partition), each partition's records in the order given. */
function groupByPartition(records: readonly NewRecord[]): Group[] {
  const groups = new Map<string, Group>();
  const partitions = new Map<string, number>();
  for (const record of records) {
    const topic = known(record.topic);
    if (record.value.length > MAX_EVENT_BYTES)
      throw new IflexError(
        'EVENT_TOO_LARGE',
        `An event of ${record.value.length} bytes for ${record.topic} is above the limit of ${MAX_EVENT_BYTES}.`,
      );
    let partition = record.partition ?? partitions.get(record.key);
    if (partition === undefined) partitions.set(record.key, (partition = partitionOf(record.key, topic.partitions)));
    const name = `${record.topic}/${String(partition).padStart(5, '0')}`;
    let group = groups.get(name);
    if (!group) groups.set(name, (group = { topic: record.topic, partition, records: [], sources: new Map() }));
    group.records.push(record);
  }
  return [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

/** Drops records whose number is not above an earlier one of the same source in the same call, and notes the ranges. */
function withoutRepeats(groups: Group[]): { groups: Group[]; repeated: number } {
  let repeated = 0;
  for (const group of groups) {
    const kept = group.records.filter(({ headers: { source, number } }) => {
      if (number < 0) return true;
      const range = group.sources.get(source);
      if (range === undefined) group.sources.set(source, { first: number, last: number });
      else if (number > range.last) range.last = number;
      else return false;
      return true;
    });
    repeated += group.records.length - kept.length;
    group.records = kept;
  }
  return { groups, repeated };
}

/** Cuts groups into batches within the bounds and lays them end to end. */
function pack(groups: Group[]): Packed {
  const packed: Packed = {
    topics: [],
    partitions: [],
    counts: [],
    sizes: [],
    blob: Buffer.alloc(0),
    sourceBatch: [],
    sourceNames: [],
    sourceFirst: [],
    sourceLast: [],
  };
  const payloads: Buffer[] = [];
  for (const group of groups) {
    for (const records of cut(group.records)) {
      const payload = packBatch(records);
      payloads.push(payload);
      packed.topics.push(group.topic);
      packed.partitions.push(group.partition);
      packed.counts.push(records.length);
      packed.sizes.push(payload.length);
    }
    for (const [source, range] of group.sources) {
      packed.sourceBatch.push(packed.topics.length);
      packed.sourceNames.push(source);
      packed.sourceFirst.push(range.first);
      packed.sourceLast.push(range.last);
    }
  }
  packed.blob = payloads.length === 1 ? payloads[0] : Buffer.concat(payloads);
  return packed;
}

function* cut(records: NewRecord[]): Generator<NewRecord[]> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < records.length; i++) {
    bytes += records[i].value.length;
    if (i + 1 - from >= MAX_BATCH_RECORDS || bytes >= MAX_BATCH_BYTES) {
      yield records.slice(from, i + 1);
      from = i + 1;
      bytes = 0;
    }
  }
  if (from < records.length) yield from === 0 ? records : records.slice(from);
}

function translated(error: unknown): unknown {
  const message = (error as Error).message ?? '';
  if (message.includes('IFLEX_FENCED')) return new IflexError('TASK_FENCED', 'Another process took this task over.', {}, error);
  return error;
}
