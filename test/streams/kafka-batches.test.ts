import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Lane, roundsOf } from '../../streams/kafka-batches.ts';
import { encodeRecordBatch, type WireRecord } from '../../streams/kafka-records.ts';
import { wantedTopics } from '../../streams/kafka-topics.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_RECORDS } from '../../streams/limits.ts';
import { TOPICS } from '../../streams/topics.ts';

const WRITER = { producerId: 1n, epoch: 0, sequence: 0 };
const [{ settings }] = wantedTopics('n', TOPICS, { compactionLagMs: 1_000 });
/** What the topics let brokers take. */
const TAKEN_BYTES = Number(settings['max.message.bytes']);

const textOf = (maxLength: number) => fc.oneof(fc.string({ maxLength }), fc.string({ maxLength, unit: 'grapheme' }));
const record: fc.Arbitrary<WireRecord> = fc.record({
  key: textOf(100),
  value: fc.oneof(
    fc.constant(null),
    fc.nat(400).map((length) => new Uint8Array(length)),
  ),
  headers: fc.oneof(
    fc.constant(null),
    fc.record(
      {
        source: textOf(200).map((text) => `s${text}`),
        number: fc.integer({ min: -1, max: 1_000_000 }),
        id: textOf(100),
        type: textOf(60),
        knownAtMs: fc.nat(),
        causes: textOf(600),
        run: textOf(60),
        traceparent: textOf(60),
      },
      { requiredKeys: ['source', 'number', 'type', 'knownAtMs'] },
    ),
  ),
});

const cut = (...lanes: Lane[]) => [...roundsOf(lanes)];

test('brokers take every batch, however much of it is keys and headers', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 3 }), (some) => {
      // As many as one batch may hold at most, and one of them more.
      const records = Array.from({ length: MAX_BATCH_RECORDS + 1 }, (_, i) => some[i % some.length]);
      const rounds = cut({ topic: 'rejected', partition: 0, records });
      assert.deepEqual(
        rounds.flatMap((round) => round.flatMap((lane) => [...lane.records])),
        records,
      );
      for (const [lane] of rounds) {
        assert.ok(lane.records.length <= MAX_BATCH_RECORDS);
        assert.ok(encodeRecordBatch(lane.records, WRITER).length <= TAKEN_BYTES);
      }
    }),
    { numRuns: 15, seed: 7 },
  );
});

test('a round has one batch of a partition at most, and a request has a bound', () => {
  const records = Array.from({ length: 40 }, () => ({ key: 'k', value: new Uint8Array(1024 * 1024), headers: null }));
  const lanes = [0, 1, 2, 3, 4, 5].map((partition) => ({ topic: 't', partition, records }));
  const rounds = cut(...lanes);
  for (const round of rounds) {
    assert.equal(new Set(round.map(({ partition }) => partition)).size, round.length);
    const bytes = round.flatMap((lane) => lane.records).reduce((sum, { value }) => sum + value!.length, 0);
    assert.ok(bytes <= 4 * MAX_BATCH_BYTES, String(bytes));
  }
  for (const { partition } of lanes)
    assert.equal(
      rounds
        .flat()
        .filter((lane) => lane.partition === partition)
        .reduce((sum, lane) => sum + lane.records.length, 0),
      40,
    );
});
