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
  /**
   * Whether a coordinator says that the producer has a later epoch, and nothing of it is being ended. With each
   * transaction that ends (KIP-890), and with each producer that takes an id over, the epoch ascends: nobody can commit it
   * any more, and all marks of it that will ever come have come.
   */
  isOver: boolean;
}

const ANSWER_WITHIN_MS = 30_000;
/** Who leads a partition of it is the coordinator of some of the transactions. */
const COORDINATORS = '__transaction_state';

type Unended = Omit<OpenTransaction, 'transaction' | 'isOver'>;

/** All open transactions in partitions whose readers wait. Throws where a coordinator cannot be asked. */
export async function findOpenTransactions(
  cluster: KafkaCluster,
  reader: KafkaReader,
  places: readonly TopicPartition[],
): Promise<OpenTransaction[]> {
  const found: OpenTransaction[] = [];
  const unended = await unendedIn(cluster, reader, places);
  // A coordinator that is away may have one under way still: what none of the others has does not hang for sure.
  if (unended.length > 0) await cluster.refresh([COORDINATORS]);
  for (const each of unended) found.push({ ...each, ...(await ownerOf(cluster, each)) });
  return found;
}

/** Where a producer has a transaction open, and up to where readers wait for it. */
export async function placesHeldBy(
  producerId: bigint,
  cluster: KafkaCluster,
  reader: KafkaReader,
  places: readonly TopicPartition[],
): Promise<(TopicPartition & { endOffset: number })[]> {
  const topics = new Set(places.map(({ topic }) => topic));
  const unended = await cluster.untilDone(() => unendedIn(cluster, reader, places), { topics, withinMs: ANSWER_WITHIN_MS });
  const own = unended.filter((each) => each.producerId === producerId);
  return own.map(({ topic, partition, firstOffset }) => ({ topic, partition, endOffset: firstOffset + 1 }));
}

async function unendedIn(cluster: KafkaCluster, reader: KafkaReader, places: readonly TopicPartition[]): Promise<Unended[]> {
  const [ends, marks] = await Promise.all([reader.ends(places), reader.highWatermarks(places)]);
  const held = places.flatMap((place, i) => (ends[i] < marks[i] ? [{ ...place, heldBack: marks[i] - ends[i] }] : []));
  const found: Unended[] = [];
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
          });
        }
  }
  return found;
}

/** While a transaction is being ended, its coordinator no longer names the partitions that have their mark, or that it gave up. */
const ENDING = /^Prepare/;

/** What coordinators say of a producer that has a transaction open in a partition. */
async function ownerOf(
  cluster: KafkaCluster,
  { producerId, producerEpoch, topic, partition }: Unended,
): Promise<Pick<OpenTransaction, 'transaction' | 'isOver'>> {
  let isOver = false;
  for (const node of cluster.nodes()) {
    const { transactionStates: listed } = await cluster.sendToNode('any', node, listTransactionsV1.api, [], [producerId], -1n, null);
    if (listed.length === 0) continue;
    const ids = listed.map(({ transactionalId }) => transactionalId);
    const { transactionStates: described } = await cluster.sendToNode('any', node, describeTransactionsV0.api, ids);
    for (const each of described) {
      if (ENDING.test(each.transactionState) || each.topics.some((of) => of.topic === topic && of.partitions.includes(partition))) {
        const { transactionalId: id, transactionStartTimeMs, transactionTimeoutMs: timeoutMs } = each;
        return { transaction: { id, startedMs: Number(transactionStartTimeMs), timeoutMs }, isOver: false };
      }
      if (each.producerId === producerId && each.producerEpoch > producerEpoch) isOver = true;
    }
  }
  return { transaction: null, isOver };
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
