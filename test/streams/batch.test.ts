import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packBatch, unpackBatch } from '../../streams/batch.ts';
import type { LogRecord, NewRecord } from '../../streams/event-log.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
/** What groupByPartition() lets through. */
const number = fc.oneof(fc.integer({ min: -1, max: 300 }), fc.integer({ min: 0, max: 2 ** 51 }));
const time = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });

const headers = fc
  .record({
    source: text,
    number,
    id: optional(text),
    type: fc.constantFrom('ReadingsDelivery', 'Tick', ''),
    knownAtMs: time,
    causes: optional(fc.string({ unit: 'grapheme', maxLength: 60 })),
    run: optional(fc.constantFrom('run-1', 'run-2')),
    traceparent: optional(text),
  })
  .map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as unknown as LogRecord['headers']);

const record: fc.Arbitrary<NewRecord> = fc.record({
  topic: fc.constant('meter.readings'),
  key: text,
  value: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 400 })),
  headers,
});

const batch = fc.array(fc.tuple(record, fc.nat({ max: 3 })), { minLength: 1, maxLength: 30 }).map((pairs) => {
  let offset = -1;
  const offsets = pairs.map(([, hole]) => (offset += 1 + hole));
  return { records: pairs.map(([each]) => each), offsets };
});

const plain = (record: LogRecord) => ({ ...record, value: Buffer.from(record.value).toString('hex') });

test('what is packed is unpacked the same: ids, causes, unicode, empty values, holes; from any offset, up to any number', () => {
  fc.assert(
    fc.property(
      batch,
      fc.nat({ max: 140 }),
      fc.nat({ max: 32 }),
      fc.nat({ max: 2 ** 40 }),
      ({ records, offsets }, from, max, firstOffset) => {
        const place = { topic: 'meter.readings', partition: 7, firstOffset, appendedMs: 1_700_000_000_123 };
        const all = records.map((each, i) => ({ ...each, partition: 7, offset: firstOffset + offsets[i], appendedMs: place.appendedMs }));
        const expected = all.filter(({ offset }) => offset >= firstOffset + from).slice(0, max);
        const into: LogRecord[] = [];
        unpackBatch(packBatch(records, offsets), place, firstOffset + from, max, into);
        assert.deepEqual(into.map(plain), expected.map(plain));
      },
    ),
    { numRuns: 500 },
  );
});

test('without offsets the records follow one another', () => {
  const records = ['a', 'b', 'c'].map((key) => ({
    topic: 'sites',
    key,
    value: Buffer.from(key),
    headers: { source: 's', number: 1, type: 'T', knownAtMs: 5 },
  }));
  const into: LogRecord[] = [];
  unpackBatch(packBatch(records), { topic: 'sites', partition: 0, firstOffset: 40, appendedMs: 9 }, 0, 10, into);
  assert.deepEqual(
    into.map(({ key, offset }) => [key, offset]),
    [
      ['a', 40],
      ['b', 41],
      ['c', 42],
    ],
  );
});

test('a batch larger than the first buffers keeps its strings and heads', () => {
  const records = Array.from({ length: 9_000 }, (_, i) => ({
    topic: 'sites',
    key: `site-${i}-${'x'.repeat(i % 50)}`,
    value: Buffer.alloc(i % 7, i),
    headers: { source: `s${i}`, number: i, id: `é${i}`, type: 'T', knownAtMs: i * 1_000 },
  }));
  const into: LogRecord[] = [];
  unpackBatch(packBatch(records), { topic: 'sites', partition: 0, firstOffset: 0, appendedMs: 9 }, 0, 10_000, into);
  assert.deepEqual(
    into.map(plain),
    records.map((each, offset) => plain({ ...each, partition: 0, offset, appendedMs: 9 })),
  );
});

test('bytes of another version are refused', () => {
  const payload = packBatch([
    { topic: 't', key: 'k', value: Buffer.alloc(1), headers: { source: 's', number: 0, type: 'T', knownAtMs: 0 } },
  ]);
  payload[0] = 1;
  assert.throws(
    () => unpackBatch(payload, { topic: 't', partition: 0, firstOffset: 3, appendedMs: 0 }, 0, 1, []),
    /t\/0:3 has an unknown version/,
  );
});
