/** What is told and counted of transactions on Kafka that hang. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { countHanging, HangingTally } from '../../infra/hanging-tally.ts';

test('each is told as an alarm and counted by what was done, however often the metrics are asked for', async () => {
  const told: string[] = [];
  const tally = new HangingTally((line) => told.push(line));
  const registry = new Registry();
  countHanging(registry, tally.counts);
  tally.note({ outcome: 'commit', text: 'One hung.' });
  tally.note({ outcome: 'left', text: 'Another hangs.' });
  tally.note({ outcome: 'left', text: 'A third hangs.' });
  await registry.metrics();
  const shown = await registry.metrics();
  assert.deepEqual(told, ['Alarm: One hung.', 'Alarm: Another hangs.', 'Alarm: A third hangs.']);
  for (const [outcome, count] of Object.entries({ commit: 1, abort: 0, left: 2 }))
    assert.ok(shown.includes(`iflex_kafka_hanging_transactions_total{outcome="${outcome}"} ${count}`), shown);
});
