/** What schema ids mean in a namespace on Kafka: a topic of its own, of which the first record of an id counts. */
import { randomUUID } from 'node:crypto';
import type { KafkaCluster } from './kafka-cluster.ts';
import { KafkaReader } from './kafka-reader.ts';
import { ownTopicName } from './kafka-topics.ts';
import { TransactionWriter } from './kafka-transaction.ts';
import type { RecordedSchemas } from './recorded-schemas.ts';

/** Of a namespace whose topics are there. */
export function kafkaRecordedSchemas(cluster: KafkaCluster, namespace: string): RecordedSchemas {
  const reader = new KafkaReader(cluster);
  const at = { topic: ownTopicName(namespace, 'schemas'), partition: 0 };
  const read = async () => {
    const found = new Map<number, string>();
    for await (const records of reader.readToEnd(at, 0))
      for (const { key, value } of records) if (!found.has(Number(key))) found.set(Number(key), Buffer.from(value).toString());
    return found;
  };
  return {
    read,
    async add(fingerprints) {
      // An id of one's own, as nobody is to be shut out: who reads to the end waits until all before it is decided.
      const writer = new TransactionWriter(cluster, `${namespace}.schemas.${randomUUID()}`);
      await writer.open();
      const records = [...fingerprints].map(([id, print]) => ({ key: String(id), value: Buffer.from(print), headers: null }));
      await writer.write([{ ...at, records }]);
      await writer.end(true);
    },
  };
}
