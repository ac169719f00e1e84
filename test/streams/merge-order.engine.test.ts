/** The order in which a live task takes its facts, beside that of a what-if replay of the same log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { knownOrder } from '../../replay/replay-order.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import type { Processor } from '../../streams/processor.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { Task } from '../../streams/task.ts';
import { openTestEngine } from '../engine.ts';
import { random } from './event-log-fixtures.ts';
import { delivery, joinProbe, tick } from './probe.ts';

const engine = await openTestEngine();
const PARTITION = 3;
const ALL = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };

/** The order of a task, from its journal, and of a what-if, both as "topic/offset". */
async function ordersOf(recordsOf: (codec: Awaited<ReturnType<typeof openRegistry>>) => NewRecord[]) {
  const namespace = engine.namespace();
  const log: EventLog = await openPostgresLog({ url: engine.url, namespace });
  try {
    const codec = await openRegistry(engine.url, namespace);
    await log.append(recordsOf(codec).map((record) => ({ ...record, partition: PARTITION })));
    const task = new Task({ log, codec, processors: [joinProbe as Processor], partition: PARTITION, label: 'test' });
    while (await task.step());
    const live: string[] = [];
    for (const { entries } of await log.journal(PARTITION, 0, 1_000))
      for (const { topic, firstOffset, count } of entries) for (let i = 0; i < count; i++) live.push(`${topic}/${firstOffset + i}`);
    const whatIf: string[] = [];
    for await (const facts of (await knownOrder(log, ALL)).read())
      whatIf.push(...facts.map(({ record }) => `${record.topic}/${record.offset}`));
    return { live, whatIf };
  } finally {
    await log.close();
  }
}

test('a live task and a what-if take facts in one order where they were appended as they became known', async () => {
  const { live, whatIf } = await ordersOf((codec) => {
    const pick = random(8);
    const records: NewRecord[] = [];
    // Times of ten milliseconds, so that many facts of both topics, and ticks, became known at the same one.
    for (let number = 0, knownAtMs = 0; number < 600; number++, knownAtMs += pick(2) * 10) {
      const which = pick(5);
      if (which === 0) records.push(tick(codec, PARTITION, number, knownAtMs));
      else records.push(delivery(codec, which < 3 ? 'meter.readings' : 'sensor.readings', 'site', number, knownAtMs));
    }
    return records;
  });
  assert.equal(live.length, 600);
  assert.deepEqual(live, whatIf);
});

test('only facts of two sources, known at the same time and appended against their names, are taken otherwise', async () => {
  const { live, whatIf } = await ordersOf((codec) => {
    const of = (source: string, number: number, knownAtMs: number) => {
      const record = delivery(codec, 'meter.readings', 'site', number, knownAtMs);
      return { ...record, headers: { ...record.headers, source } };
    };
    return [of('b', 1, 10), of('a', 1, 20), of('b', 2, 30), of('a', 2, 30), of('b', 3, 40)];
  });
  const place = (offset: number) => `meter.readings/${offset}`;
  assert.deepEqual(live, [0, 1, 2, 3, 4].map(place));
  assert.deepEqual(whatIf, [0, 1, 3, 2, 4].map(place));
});
