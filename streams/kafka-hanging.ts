/**
 * Transactions that hold back what was appended after them: those that are merely open, which the coordinator ends in
 * time, and those that no coordinator knows any more, which nobody ever ends (KIP-664; KIP-890 tells how they come to be).
 */
import { createAPI, describeProducersV0, describeTransactionsV0, listTransactionsV1, type Reader, Writer } from '@platformatic/kafka';
import type { TopicPartition } from './event-log.ts';
import { BrokerError, type KafkaCluster } from './kafka-cluster.ts';
import { type KafkaReader, placeOf } from './kafka-reader.ts';
import { TRANSACTION_TIMEOUT_MS } from './limits.ts';

export interface OpenTransaction extends TopicPartition {
  producerId: bigint;
  producerEpoch: number;
  coordinatorEpoch: number;
  /** Nothing from this offset on can be read until it ends. */
  firstOffset: number;
  /** Offsets that it holds back. */
  heldBack: number;
  /** When its producer last wrote (UTC epoch ms). */
  lastWriteMs: number;
  /** Whose it is, and since when; null where no coordinator has it under way, so that it hangs. */
  transaction: { id: string; startedMs: number; timeoutMs: number } | null;
}

/** All open transactions in partitions whose readers wait. */
export async function findOpenTransactions(
  cluster: KafkaCluster,
  reader: KafkaReader,
  places: readonly TopicPartition[],
): Promise<OpenTransaction[]> {
  const [ends, marks] = await Promise.all([reader.ends(places), reader.highWatermarks(places)]);
  const held = places.flatMap((place, i) => (ends[i] < marks[i] ? [{ ...place, heldBack: marks[i] - ends[i] }] : []));
  const found: OpenTransaction[] = [];
  for (const [node, of] of await cluster.byLeader(held)) {
    const asked = of.map(({ topic, partition }) => ({ name: topic, partitionIndexes: [partition] }));
    const { topics } = await cluster.sendToNode('any', node, describeProducersV0.api, asked);
    for (const { name, partitions } of topics)
      for (const { partitionIndex, activeProducers } of partitions)
        for (const producer of activeProducers) {
          if (producer.currentTxnStartOffset < 0n) continue;
          const place = { topic: name, partition: partitionIndex };
          found.push({
            ...place,
            producerId: producer.producerId,
            producerEpoch: producer.producerEpoch,
            coordinatorEpoch: Math.max(0, producer.coordinatorEpoch),
            firstOffset: Number(producer.currentTxnStartOffset),
            heldBack: held.find((each) => placeOf(each) === placeOf(place))?.heldBack ?? 0,
            lastWriteMs: Number(producer.lastTimestamp),
            transaction: await ownerOf(cluster, producer.producerId, place),
          });
        }
  }
  return found;
}

/** The transaction that a coordinator has under way for a producer with this partition in it. */
async function ownerOf(
  cluster: KafkaCluster,
  producerId: bigint,
  { topic, partition }: TopicPartition,
): Promise<OpenTransaction['transaction']> {
  for (const node of cluster.nodes()) {
    const { transactionStates: listed } = await cluster.sendToNode('any', node, listTransactionsV1.api, [], [producerId], -1n, null);
    if (listed.length === 0) continue;
    const ids = listed.map(({ transactionalId }) => transactionalId);
    const { transactionStates: described } = await cluster.sendToNode('any', node, describeTransactionsV0.api, ids);
    for (const each of described)
      if (each.topics.some((of) => of.topic === topic && of.partitions.includes(partition)))
        return { id: each.transactionalId, startedMs: Number(each.transactionStartTimeMs), timeoutMs: each.transactionTimeoutMs };
  }
  return null;
}

/**
 * Whether a transaction may be ended by hand: no coordinator has it under way, and its producer has not written for
 * longer than any of our transactions lasts.
 */
export function isHanging({ transaction, lastWriteMs }: OpenTransaction, nowMs: number): boolean {
  return transaction === null && nowMs - lastWriteMs > 2 * TRANSACTION_TIMEOUT_MS;
}

/**
 * How a transaction that hangs was ended in another partition, as its coordinator may have lost some of its marks; null
 * where no partition has one. Then it is aborted: nobody was told that it is committed, as an append of ours answers once
 * all of it can be read.
 */
export async function outcomeElsewhere(
  reader: KafkaReader,
  { producerId, producerEpoch, lastWriteMs }: OpenTransaction,
  places: readonly TopicPartition[],
): Promise<'commit' | 'abort' | null> {
  const from = await reader.atTime(places, lastWriteMs - 2 * TRANSACTION_TIMEOUT_MS, { committed: false });
  const ends = await reader.highWatermarks(places);
  const asked = places.flatMap((at, i) => (from[i] >= 0 && from[i] < ends[i] ? [{ at, offset: from[i], end: ends[i] }] : []));
  for (const heads of await reader.headsUpTo(asked)) {
    const first = heads.findIndex((head) => head.kind === 'records' && head.transaction === `${producerId}/${producerEpoch}`);
    const mark = first < 0 ? undefined : heads.slice(first).find((head) => head.kind !== 'records' && head.producerId === producerId);
    if (mark) return mark.kind === 'commit' ? 'commit' : 'abort';
  }
  return null;
}

/** Writes the mark that ends it in its partition. */
export async function endTransaction(cluster: KafkaCluster, open: OpenTransaction, outcome: 'commit' | 'abort'): Promise<void> {
  const [[node]] = await cluster.byLeader([{ topic: open.topic, partition: open.partition }]);
  const errorCode = await cluster.sendToNode('any', node, writeMarkersApi, open, outcome === 'commit');
  if (errorCode !== 0) throw new BrokerError(errorCode, `the end of a transaction in ${placeOf(open)}`);
}

function markersRequest({ producerId, producerEpoch, coordinatorEpoch, topic, partition }: OpenTransaction, commit: boolean): Writer {
  return Writer.create()
    .appendArray([topic], (w, name) => {
      w.appendInt64(producerId)
        .appendInt16(producerEpoch)
        .appendBoolean(commit)
        .appendArray([name], (t, each) => {
          t.appendString(each).appendArray([partition], (p, index) => p.appendInt32(index), true, false);
        })
        .appendInt32(coordinatorEpoch);
    })
    .appendTaggedFields();
}

/** The first error; 0 where there is none. */
function markersResponse(_correlation: number, _key: number, _version: number, reader: Reader): number {
  let error = 0;
  reader.readArray((marker) => {
    marker.readInt64();
    marker.readArray((topic) => {
      topic.readString();
      topic.readArray((partition) => {
        partition.readInt32();
        error ||= partition.readInt16();
      });
    });
  });
  return error;
}

const writeMarkersApi = createAPI<[OpenTransaction, boolean], number>(27, 1, markersRequest, markersResponse);
