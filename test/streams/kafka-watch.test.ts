/** When partitions of Kafka have stood still for too long behind a transaction. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STALLED_AFTER_MS } from '../../streams/kafka-reader.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { Standstill } from '../../streams/kafka-watch.ts';

const at = (partition: number, lastStableOffset: number, highWatermark: number) => ({
  topic: 'readings',
  partition,
  lastStableOffset,
  highWatermark,
});

test('a partition that stands at one offset before its end for too long is told, and again as much later', () => {
  const standstill = new Standstill();
  const stands = [at(0, 5, 9)];
  assert.equal(standstill.note(stands, 0), false);
  assert.equal(standstill.note(stands, STALLED_AFTER_MS), false);
  assert.equal(standstill.note([at(0, 5, 12)], STALLED_AFTER_MS + 1), true, 'what is appended behind it does not move it');
  assert.equal(standstill.note(stands, STALLED_AFTER_MS + 2), false);
  assert.equal(standstill.note(stands, 2 * STALLED_AFTER_MS + 2), true);
});

test('one that moves, or has come to its end, is not told', () => {
  const standstill = new Standstill();
  standstill.note([at(0, 5, 9), at(1, 5, 9), at(2, 9, 9)], 0);
  standstill.note([at(0, 6, 9), at(1, 9, 9), at(2, 9, 10)], STALLED_AFTER_MS);
  assert.equal(standstill.note([at(0, 6, 9), at(1, 9, 11), at(2, 9, 10)], STALLED_AFTER_MS + 1), false);
});

test('whether a pipeline may end transactions is true or false', () => {
  const given = (value: string) => kafkaSettings({ KAFKA_BROKERS: 'localhost:9092', KAFKA_REPAIR_HANGING: value })?.repairHanging;
  assert.deepEqual(['true', 'false'].map(given), [true, false]);
  assert.throws(() => given('no'), { code: 'CONFIG_INVALID' });
});
