/** Record batches: what is written is read, whoever wrote it, and headers are those of cloud-events.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRecordsBatch } from '@platformatic/kafka';
import fc from 'fast-check';
import { fromCloudEvent, toCloudEvent } from '../../streams/cloud-events.ts';
import type { LogRecord, RecordHeaders } from '../../streams/event-log.ts';
import { COMPRESSIONS, decodeRecordBatches, encodeRecordBatch, type WireRecord } from '../../streams/kafka-records.ts';

const WRITER = { producerId: 7n, epoch: 3, sequence: 0 };
const ALL = { fromOffset: 0, maxRecords: 1_000_000, maxBytes: 1e9 };
const CLOUD_EVENT_OPTIONS = { numRuns: 500, seed: 20_261_127 };

function decode(bytes: Buffer, bounds = ALL, aborted: { producerId: bigint; firstOffset: number }[] = []) {
  const into: LogRecord[] = [];
  const nextOffset = decodeRecordBatches({ topic: 't', partition: 2, bytes, aborted }, bounds, into);
  return { records: into, nextOffset };
}

/** As the broker does: gives a batch its first offset. */
function placed(batch: Buffer, firstOffset: number): Buffer {
  const copy = Buffer.from(batch);
  copy.writeBigInt64BE(BigInt(firstOffset), 0);
  return copy;
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 });
const headers: fc.Arbitrary<RecordHeaders> = fc
  .record(
    {
      source: fc.oneof(name, fc.constantFrom('file-1', 'a/b#3', 'a%2Fb', '#', 'quelle ü')),
      number: fc.oneof(fc.constant(-1), fc.nat(), fc.maxSafeNat()),
      type: name,
      knownAtMs: fc.oneof(fc.integer({ min: 0, max: 2e12 }), fc.integer({ min: -1e14, max: 5e14 })),
      id: fc.oneof(name, fc.constantFrom('file-1#7', '#-1', 'a/b#3#12')),
      causes: name,
      run: name,
      traceparent: name,
    },
    { requiredKeys: ['source', 'number', 'type', 'knownAtMs'] },
  )
  .map((given) => (given.number > 2 ** 51 ? { ...given, number: given.number % 2 ** 51 } : given));
const record: fc.Arbitrary<WireRecord> = fc.record({
  key: fc.string({ unit: 'grapheme', maxLength: 200 }),
  value: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 8_000, maxLength: 9_000 })),
  headers,
});

const shown = ({ key, value, headers: given }: Pick<LogRecord, 'key' | 'headers'> & { value: Uint8Array | null }) => ({
  key,
  value: Buffer.from(value ?? []).toString('hex'),
  headers: given,
});

test('records are read as they were written, with the headers that cloud-events.ts would give', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), fc.constantFrom(...COMPRESSIONS), (records, compression) => {
      const { records: read, nextOffset } = decode(encodeRecordBatch(records, WRITER, compression));
      assert.equal(nextOffset, records.length);
      assert.deepEqual(
        read.map(shown),
        records.map((each) => shown({ ...each, headers: fromCloudEvent(toCloudEvent(each.headers!)) })),
      );
      assert.ok(read.every((each) => each.fault === undefined && each.topic === 't' && each.partition === 2));
    }),
    CLOUD_EVENT_OPTIONS,
  );
});

test('a header of any length finds room', () => {
  const long = 'é'.repeat(70_000);
  const given: RecordHeaders = { source: 's', number: -1, id: 'i', type: 't', knownAtMs: 1, causes: 'c', run: 'r', traceparent: 'p' };
  for (const name of ['source', 'id', 'type', 'causes', 'run', 'traceparent'] as const) {
    const written = { key: 'k', value: new Uint8Array(1), headers: { ...given, [name]: long } };
    assert.deepEqual(decode(encodeRecordBatch([written], WRITER)).records.map(shown), [shown(written)], name);
  }
});

test('deliveries that differ from the one before in number and time alone are read as any others', () => {
  const dayMs = 86_400_000;
  const steps = fc.array(fc.record({ more: fc.constantFrom(0, 1, 1, 1, 9, 90), ms: fc.constantFrom(0, 1, 60_000, dayMs / 2) }), {
    minLength: 30,
  });
  fc.assert(
    fc.property(steps, fc.nat(20_000), (moves, first) => {
      let [number, knownAtMs] = [first, dayMs * 20_000 - 5];
      const records = moves.map(({ more, ms }): WireRecord => {
        number += more;
        knownAtMs += ms;
        return { key: `site ${number % 2}`, value: Buffer.from('v'), headers: { source: 'file', number, type: 'T', knownAtMs } };
      });
      assert.deepEqual(
        decode(encodeRecordBatch(records, WRITER)).records.map(shown),
        records.map((each) => shown(each as never)),
      );
    }),
    { numRuns: 100, seed: 20_261_127 },
  );
  // A number of others that begins with zeros is part of an id that is not ours.
  const foreign = ['107', '007'].map((digits) => ({
    ...{ topic: 't', key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 5n },
    headers: new Map(
      Object.entries(toCloudEvent({ source: 's', number: 107, type: 'T', knownAtMs: 5 })).map(([name, text]) => [
        Buffer.from(name),
        Buffer.from(text.replace('107', digits)),
      ]),
    ),
  }));
  const read = decode(createRecordsBatch(foreign, {}).buffer).records;
  assert.deepEqual([read[1].headers.number, read[1].headers.id], [7, 's#007']);
});

test('what we write, another client reads; what it writes in another order and compressed, we read', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('none' as const, 'gzip' as const, 'snappy' as const, 'lz4' as const, 'zstd' as const),
      (records, compression) => {
        const foreign = createRecordsBatch(
          records.map(({ key, value, headers: given }) => ({
            ...{ topic: 't', key: Buffer.from(key), value: Buffer.from(value!), timestamp: 1_700_000_000_000n },
            headers: new Map(
              Object.entries(toCloudEvent(given!))
                .reverse()
                .map(([header, text]) => [Buffer.from(header), Buffer.from(text)]),
            ),
          })),
          { compression },
        );
        const { records: read } = decode(foreign.buffer);
        assert.deepEqual(
          read.map(shown),
          records.map((each) => shown({ ...each, headers: fromCloudEvent(toCloudEvent(each.headers!)) })),
        );
      },
    ),
    { numRuns: 200, seed: 20_261_127 },
  );
});

const given = (text: string): WireRecord => ({
  key: 'k',
  value: Buffer.from(text),
  headers: { source: 's', number: 1, type: 'T', knownAtMs: 1 },
});
const textsOf = (records: readonly LogRecord[]) => records.map(({ value }) => Buffer.from(value).toString());

test('bounds end a read between records, and it goes on where it ended', () => {
  const bytes = Buffer.concat([
    placed(encodeRecordBatch(['a', 'b', 'c'].map(given), WRITER), 10),
    placed(encodeRecordBatch(['d', 'e'].map(given), WRITER), 20),
  ]);
  assert.deepEqual(textsOf(decode(bytes, { ...ALL, fromOffset: 11 }).records), ['b', 'c', 'd', 'e']);
  const first = decode(bytes, { ...ALL, maxRecords: 2 });
  assert.deepEqual([textsOf(first.records), first.nextOffset], [['a', 'b'], 12]);
  const second = decode(bytes, { ...ALL, fromOffset: 12, maxBytes: 1 });
  assert.deepEqual([textsOf(second.records), second.nextOffset], [['c'], 20]);
  assert.equal(decode(bytes).nextOffset, 22);
  // Brokers cut an answer where its bound is.
  const cut = decode(bytes.subarray(0, bytes.length - 1));
  assert.deepEqual([textsOf(cut.records), cut.nextOffset], [['a', 'b', 'c'], 13]);
});

test('what was aborted is left out, up to the mark that ends its transaction', () => {
  const mark = Buffer.from(encodeRecordBatch([given('mark')], WRITER));
  mark.writeInt16BE(mark.readInt16BE(21) | (1 << 5), 21);
  const other = encodeRecordBatch(['other'].map(given), { ...WRITER, producerId: 8n });
  const own = encodeRecordBatch(['aborted'].map(given), WRITER);
  const again = encodeRecordBatch(['committed'].map(given), WRITER);
  const bytes = Buffer.concat([placed(own, 0), placed(other, 1), placed(own, 2), placed(mark, 3), placed(again, 4), placed(mark, 5)]);
  const { records, nextOffset } = decode(bytes, ALL, [{ producerId: 7n, firstOffset: 0 }]);
  assert.deepEqual([textsOf(records), nextOffset], [['other', 'committed'], 6]);
});

test('events without headers of CloudEvents, or with wrong ones, come with a fault and where they lie', () => {
  const batch = (fields: Record<string, string>) =>
    createRecordsBatch(
      [
        {
          ...{ topic: 't', key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 5n },
          headers: new Map(Object.entries(fields).map(([header, text]) => [Buffer.from(header), Buffer.from(text)])),
        },
      ],
      {},
    ).buffer;
  const right = { ce_specversion: '1.0', ce_id: 'i', ce_source: 's', ce_type: 'T', ce_time: '2026-03-29T01:02:03Z' };
  assert.equal(decode(batch(right)).records[0].fault, undefined);
  for (const wrong of [
    {},
    { ...right, ce_time: 'soon' },
    { ...right, ce_specversion: '0.3' },
    { ...right, ce_source: '%' },
    { other: 'x' },
  ]) {
    const [read] = decode(placed(batch(wrong as Record<string, string>), 9)).records;
    assert.match(read.fault!, /header/);
    assert.deepEqual([read.headers.source, read.headers.number, Buffer.from(read.value).toString()], ['t/2', 9, 'v']);
  }
});
