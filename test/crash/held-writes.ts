/** Writes that are held up between their first change and their end, where the process that does them dies. */
import type { NewRecord } from '../../streams/event-log.ts';
import { TransactionWriter } from '../../streams/kafka-transaction.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openClient } from '../../streams/postgres.ts';
import { namespaceSchema } from '../../streams/postgres-log.ts';
import { findTopic } from '../../streams/topics.ts';
import type { Hold } from './fail-points.ts';
import type { Place } from './roles.ts';

export function heldAppend(place: Place, records: readonly NewRecord[]): Hold {
  return place.backend.kafka ? heldTransaction(/\.append\./) : heldByLock(place, () => lastPartition(records));
}

export function heldStep(place: Place, partition: number, outputs: readonly NewRecord[]): Hold {
  if (place.backend.kafka) return heldTransaction(new RegExp(`\\.task\\.${partition}$`));
  const taskRow = `SELECT FROM task WHERE partition = ${partition} FOR UPDATE`;
  return heldByLock(place, () => (outputs.length > 0 ? lastPartition(outputs) : taskRow));
}

export function heldRows(place: Place, tables: readonly string[]): Hold {
  return heldByLock(place, () => `LOCK TABLE ${tables.join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
}

/** The row that an append of these records locks last: everything before it has been appended by then. */
function lastPartition(records: readonly NewRecord[]): string {
  const places = records.map(({ topic, key, partition }) => ({
    topic,
    partition: partition ?? partitionOf(key, findTopic(topic)!.partitions),
  }));
  places.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  const { topic, partition } = places.at(-1)!;
  return `SELECT FROM log_partition WHERE topic = '${topic}' AND partition = ${partition} FOR UPDATE`;
}

/** PostgreSQL: another session has what the write needs last; the process dies as soon as the write waits for it. */
function heldByLock({ backend: { url }, namespace }: Place, obstacle: () => string): Hold {
  return async (abort, die) => {
    const client = await openClient(url, 'obstacle');
    await client.query(`SET search_path = ${namespaceSchema(namespace)}`);
    await client.query('BEGIN');
    await client.query(obstacle());
    let isReleased = false;
    const watch = async () => {
      while (!isReleased) {
        // Within a transaction, the server would go on showing what it showed first.
        await client.query('SELECT pg_stat_clear_snapshot()');
        const { rows } = await client.query(
          'SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)) LIMIT 1',
        );
        if (rows.length === 0) continue;
        if (abort) await client.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
        die();
      }
      await client.end();
    };
    const watching = watch();
    watching.catch(() => {});
    const release = () => {
      isReleased = true;
      return watching;
    };
    return { release };
  };
}

/**
 * Kafka: the process dies where its writer is about to end the transaction, which the coordinator aborts then; or once
 * the coordinator has decided that it is committed, when some partitions may have no mark of it yet.
 */
function heldTransaction(id: RegExp): Hold {
  return async (abort, die) => {
    const { end } = TransactionWriter.prototype;
    TransactionWriter.prototype.end = async function (this: TransactionWriter, commit) {
      if (!commit || !id.test(this.id)) return end.call(this, commit);
      if (abort) die();
      await end.call(this, commit);
      return die();
    };
    const release = async () => {
      TransactionWriter.prototype.end = end;
    };
    return { release };
  };
}
