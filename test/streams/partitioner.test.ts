import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { murmur2, partitionOf } from '../../streams/partitioner.ts';

/** Of Apache Kafka: clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2. */
const KAFKA_VECTORS: readonly [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
];

test("murmur2 gives what Kafka's own tests expect", () => {
  for (const [text, expected] of KAFKA_VECTORS) assert.equal(murmur2(Buffer.from(text, 'utf8')), expected, text);
});

test('a key lands in the partition of its positive hash', () => {
  for (const [text, hash] of KAFKA_VECTORS)
    for (const count of [1, 3, 12]) assert.equal(partitionOf(text, count), (hash & 0x7fffffff) % count);
  assert.equal(partitionOf('', 12), (murmur2(new Uint8Array()) & 0x7fffffff) % 12);
});

/** Murmur2 with 64-bit whole numbers, as the Java source reads: slow, and without any of the tricks of the one in use. */
function murmur2InBigInts(data: Uint8Array): number {
  const m = 0x5bd1e995n;
  const cut = (value: bigint) => value & 0xffffffffn;
  let h = cut(0x9747b28cn ^ BigInt(data.length));
  const whole = data.length - (data.length % 4);
  for (let at = 0; at < whole; at += 4) {
    let k = BigInt(data[at]) | (BigInt(data[at + 1]) << 8n) | (BigInt(data[at + 2]) << 16n) | (BigInt(data[at + 3]) << 24n);
    k = cut(k * m);
    k = cut((k ^ (k >> 24n)) * m);
    h = cut(h * m) ^ k;
  }
  for (let left = data.length % 4; left > 0; left--) {
    h ^= BigInt(data[whole + left - 1]) << BigInt(8 * (left - 1));
    if (left === 1) h = cut(h * m);
  }
  h = cut((h ^ (h >> 13n)) * m);
  return Number(BigInt.asIntN(32, h ^ (h >> 15n)));
}

test('murmur2 equals a plain transcription for any bytes', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (data) => murmur2(data) === murmur2InBigInts(data)));
});
