/** Events in a partition that is not their key's are told of, whatever they hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogRecord } from '../../streams/event-log.ts';
import { Misplaced } from '../../streams/kafka-misplaced.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { record } from './event-log-fixtures.ts';

const lying = (key: string, partition: number, fault?: string): LogRecord => ({
  ...record({ key }),
  ...(fault !== undefined && { fault }),
  partition,
  offset: 0,
  appendedMs: 0,
});

test('those of a partition are told apart by their keys, in whatever order', () => {
  const keys = ['site-1', 'site-1', 'site-2', 'site-3', 'site-1', '', 'Straße 5'];
  const own = partitionOf('site-1', 12);
  const records = keys.map((key) => lying(key, own));
  new Misplaced().mark(records, 12);
  const told = records.map(({ fault }) => fault !== undefined);
  assert.deepEqual(
    told,
    keys.map((key) => key !== '' && partitionOf(key, 12) !== own),
  );
  assert.deepEqual(new Set(told), new Set([true, false]));
  const wrong = records.find(({ key }) => key === 'site-2')!;
  assert.equal(
    wrong.fault,
    `The key site-2 belongs into partition ${partitionOf('site-2', 12)}, not ${own}: producers must use Kafka's own partitioner (murmur2).`,
  );
});

test('what is wrong with its headers is told first', () => {
  const other = (partitionOf('site-1', 12) + 1) % 12;
  const records = [lying('site-1', other, 'No headers.')];
  new Misplaced().mark(records, 12);
  assert.equal(records[0].fault, 'No headers.');
});

test('more keys than are held are told apart as well', () => {
  const misplaced = new Misplaced();
  const records = Array.from({ length: 120_000 }, (_, i) => lying(`site-${i % 110_000}`, partitionOf(`site-${i % 110_000}`, 12)));
  misplaced.mark(records, 12);
  assert.ok(records.every(({ fault }) => fault === undefined));
});
