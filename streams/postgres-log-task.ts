/** Tasks of the log on PostgreSQL: a row each, whose epoch fences former owners, with journal, deltas and snapshots. */

import { groupByPartition, pack, type TopicTable } from './append-groups.ts';
import { IflexError } from './errors.ts';
import type { KeptSnapshot, Positions, Step, StepJournalEntry, TaskHandle, TaskState } from './event-log.ts';
import { DAILY_SNAPSHOTS_KEPT, DAY_MS } from './limits.ts';
import { binary, type Client, databaseError, type Pool } from './postgres.ts';

export interface TaskPlace {
  pool: Pool;
  topics: TopicTable;
  /** Channel on which appends are told. */
  channel: string;
}

/** Raises the epoch, which fences every earlier owner, and reads the state; both in the given transaction. */
export async function takeTaskState(client: Client, partition: number): Promise<{ epoch: number; state: TaskState }> {
  // The row lock waits for a step of the former owner that is being committed; after it, that owner is fenced.
  const { rows } = await client.query(
    `INSERT INTO task VALUES ($1, 1, 0, '{}') ON CONFLICT (partition) DO UPDATE SET epoch = task.epoch + 1
      RETURNING epoch, step, label, positions`,
    [partition],
  );
  const { epoch, step, label, positions } = rows[0] as { epoch: number; step: number; label: string | null; positions: Positions };
  const snapshots = await client.query(
    binary('SELECT step, bytes FROM task_snapshot WHERE partition = $1 ORDER BY step DESC LIMIT 1', [partition]),
  );
  const snapshot = snapshots.rows[0] as { step: number; bytes: Buffer } | undefined;
  const deltas = await client.query(
    binary('SELECT delta FROM task_delta WHERE partition = $1 AND step > $2 ORDER BY step', [partition, snapshot?.step ?? 0]),
  );
  const state = {
    stepNumber: step,
    label,
    positions,
    snapshot: snapshot?.bytes ?? null,
    deltas: deltas.rows.map((row: { delta: Buffer }) => row.delta),
  };
  return { epoch, state };
}

/** The owner's handle: each commit is the step after the last one that was committed. */
export function taskHandle(place: TaskPlace, partition: number, epoch: number, state: TaskState): TaskHandle {
  let next = state.stepNumber + 1;
  const commit = async (step: Step) => {
    await commitStep(place, partition, epoch, next, step);
    next++;
  };
  return { partition, state, commit, release: async () => {} };
}

async function commitStep({ pool, topics, channel }: TaskPlace, partition: number, epoch: number, stepNumber: number, step: Step) {
  const packed = pack(groupByPartition(step.outputs, topics));
  const { snapshot } = step;
  const streamTimeMs = snapshot ? Math.max(0, snapshot.streamTimeMs) : null;
  const text = `SELECT log_step($1::int, $2::bigint, $3::bigint, $4::text, $5::jsonb, $6::jsonb, $7::bytea, $8::bigint, $9::bytea,
    $10::bigint, $11::bigint, $12::text[], $13::int[], $14::int[], $15::int[], $16::bytea), pg_notify('${channel}', '')`;
  const values = [
    partition,
    epoch,
    stepNumber,
    step.label,
    JSON.stringify(step.positions),
    JSON.stringify(step.journal.map((entry) => [entry.topic, entry.firstOffset, entry.endOffset, entry.count])),
    asBuffer(step.delta),
    streamTimeMs,
    snapshot ? asBuffer(snapshot.bytes) : null,
    (streamTimeMs ?? 0) - DAILY_SNAPSHOTS_KEPT * DAY_MS,
    DAY_MS,
    packed.topics,
    packed.partitions,
    packed.counts,
    packed.sizes,
    packed.blob,
  ];
  await pool.query({ name: 'log_step', text, values }).catch((error: Error) => {
    if (error.message.includes('IFLEX_FENCED')) throw new IflexError('TASK_FENCED', 'Another process took this task over.', {}, error);
    throw databaseError(error);
  });
}

/** pg sends Buffers in binary, but would write any other array out as text. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

export async function readPositions(pool: Pool, partition: number): Promise<Positions> {
  const { rows } = await pool.query('SELECT positions FROM task WHERE partition = $1', [partition]);
  return (rows[0]?.positions as Positions) ?? {};
}

export async function readKeptSnapshot(pool: Pool, partition: number, label: string, atOrBeforeMs: number): Promise<KeptSnapshot | null> {
  const { rows } = await pool.query(
    binary(
      `SELECT step, label, stream_time_ms, positions::text AS positions, bytes FROM task_snapshot
        WHERE partition = $1 AND label = $2 AND stream_time_ms <= $3 ORDER BY step DESC LIMIT 1`,
      [partition, label, atOrBeforeMs],
    ),
  );
  const row = rows[0] as { step: number; label: string; stream_time_ms: number; positions: string; bytes: Buffer } | undefined;
  if (!row) return null;
  return {
    stepNumber: row.step,
    label: row.label,
    streamTimeMs: row.stream_time_ms,
    positions: JSON.parse(row.positions) as Positions,
    bytes: row.bytes,
  };
}

export async function readJournal(
  pool: Pool,
  partition: number,
  fromStep: number,
  maxSteps: number,
): Promise<{ step: number; entries: StepJournalEntry[] }[]> {
  const { rows } = await pool.query('SELECT step, entries FROM task_journal WHERE partition = $1 AND step >= $2 ORDER BY step LIMIT $3', [
    partition,
    fromStep,
    maxSteps,
  ]);
  return rows.map((row: { step: number; entries: [string, number, number, number][] }) => ({
    step: row.step,
    entries: row.entries.map(([topic, firstOffset, endOffset, count]) => ({ topic, firstOffset, endOffset, count })),
  }));
}
