/** A task whose looks at the log end at their bounds while other inputs wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_STEP_BYTES } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import type { Processor } from '../../streams/processor.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { Task } from '../../streams/task.ts';
import { openTestEngine } from '../engine.ts';
import { record } from './event-log-fixtures.ts';
import { joinProbe, tick } from './probe.ts';

const engine = await openTestEngine();
const PARTITION = 5;
const FACT_BYTES = 500_000;

test('a tick waits for all facts that were appended before it, however many looks they take, and none gets lost', async () => {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  try {
    const codec = await openRegistry(engine.url, namespace);
    // More bytes than one look takes; that they are no events makes no difference to their order.
    const count = Math.ceil((1.5 * MAX_STEP_BYTES) / FACT_BYTES);
    const place = { topic: 'meter.readings', partition: PARTITION };
    for (let i = 0; i < count; i++) {
      const headers = { source: 'large', number: i, type: 'ReadingsDelivery', knownAtMs: 10 + i };
      await log.append([record({ ...place, key: 'site', value: Buffer.alloc(FACT_BYTES, 1), headers })]);
    }
    await log.append([1, 2].map((number) => tick(codec, PARTITION, number, 10 + count + number)));
    const task = new Task({ log, codec, processors: [joinProbe as Processor], partition: PARTITION, label: 'test' });
    while (await task.step());
    const taken: string[] = [];
    const journal = await log.journal(PARTITION, 0, 1_000);
    for (const { entries } of journal) for (const { topic, count } of entries) taken.push(...Array<string>(count).fill(topic));
    assert.ok(journal.length > 1, 'The facts took more than one step.');
    assert.deepEqual(taken, [...Array<string>(count).fill('meter.readings'), 'ticks', 'ticks']);
  } finally {
    await log.close();
  }
});
