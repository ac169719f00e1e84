/** Transactions that no coordinator will ever end, made by hand on a real broker. */
import {
  ConfigResourceTypes,
  createAPI,
  IncrementalAlterConfigOperationTypes,
  incrementalAlterConfigsV1,
  initProducerIdV5,
  type Reader,
  Writer,
} from '@platformatic/kafka';
import type { TopicPartition } from '../../streams/event-log.ts';
import type { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { encodeRecordBatch } from '../../streams/kafka-records.ts';

/** Whether the broker asks the coordinator if a partition belongs to a transaction, as it does since Kafka 3.6. */
async function verifyTransactions(cluster: KafkaCluster, on: boolean): Promise<void> {
  const configs = [
    { name: 'transaction.partition.verification.enable', configOperation: IncrementalAlterConfigOperationTypes.SET, value: String(on) },
  ];
  await cluster.sendToAny(incrementalAlterConfigsV1.api, [{ resourceType: ConfigResourceTypes.BROKER, resourceName: '', configs }], false);
}

/** A write as of Kafka 2.0 to a partition that was never added to the transaction: no coordinator will ever end it. */
const produceV9 = createAPI<[string, TopicPartition, Buffer], number>(
  0,
  9,
  (id: string, { topic, partition }: TopicPartition, batch: Buffer) =>
    Writer.create()
      .appendString(id)
      .appendInt16(-1)
      .appendInt32(10_000)
      .appendArray([batch], (w, bytes) => {
        w.appendString(topic).appendArray([bytes], (p, each) => p.appendInt32(partition).appendBytes(each));
      })
      .appendTaggedFields(),
  (_c: number, _k: number, _v: number, reader: Reader) => {
    let error = 0;
    reader.readArray((topic) => {
      topic.readString();
      topic.readArray((partition) => {
        partition.readInt32();
        error = partition.readInt16();
        partition.readInt64();
        partition.readInt64();
        partition.readInt64();
        partition.readArray((each) => {
          each.readInt32();
          each.readNullableString();
        });
        partition.readNullableString();
      });
    });
    return error;
  },
);

export const record = { key: 'k', value: Buffer.from('left'), headers: { source: 's', number: 1, type: 'T', knownAtMs: 1 } };

/** Leaves a transaction open in these places that no coordinator knows of. */
export async function leaveOpen(cluster: KafkaCluster, id: string, places: readonly TopicPartition[]): Promise<void> {
  await verifyTransactions(cluster, false);
  try {
    const given = await takeOver(cluster, id);
    const batch = encodeRecordBatch([record], { producerId: given.producerId, epoch: given.producerEpoch, sequence: 0 });
    for (const [node, of] of await cluster.byLeader(places))
      for (const place of of) {
        // The setting reaches the broker a moment later.
        while ((await cluster.sendToNode('any', node, produceV9, id, place, batch)) !== 0);
      }
  } finally {
    await verifyTransactions(cluster, true);
  }
}

/** As a process does that writes under an id after another one: the epoch of the former one is over. */
export async function takeOver(cluster: KafkaCluster, id: string) {
  const coordinator = await cluster.untilDone(() => cluster.coordinatorOf(id), { withinMs: 30_000 });
  return cluster.untilDone(() => cluster.send('any', coordinator, initProducerIdV5.api, id, 10_000, -1n, -1), { withinMs: 30_000 });
}
