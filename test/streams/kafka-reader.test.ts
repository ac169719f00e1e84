/** Reads of partitions at whose ends records were compacted away, which takes a broker too long for a test of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import type { FetchedPartition, FetchPartition } from '../../streams/kafka-protocol.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';

const END = 7;

/** Every partition ends at 7 and has nothing left. */
class EmptyEnds extends KafkaReader {
  private asked = 0;

  override async fetch(partitions: readonly FetchPartition[]): Promise<FetchedPartition[]> {
    assert.ok(++this.asked < 10, 'it would ask for ever');
    return partitions.map(({ topic, partition }) => ({
      ...{ topic, partition, errorCode: 0, highWatermark: END, lastStableOffset: END },
      ...{ bytes: Buffer.alloc(0), aborted: [] },
    }));
  }
}

for (const count of [1, 2])
  test(`a read ends where ${count} partitions have only holes up to their ends`, async () => {
    const reader = new EmptyEnds(new KafkaCluster({ brokers: [] }, 'test'));
    const requests = Array.from({ length: count }, (_, partition) => ({ at: { topic: 'sites.latest', partition }, offset: 3 }));
    const results = await reader.readEach(requests, { maxRecords: 10, maxBytes: 1_000 });
    assert.deepEqual(
      results.map(({ records, nextOffset }) => [records.length, nextOffset]),
      requests.map(() => [0, END]),
    );
  });
