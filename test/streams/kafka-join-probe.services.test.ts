/** Tasks over Kafka, whose partitions are read one after the other: what a task saw is what the replay of its journal sees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { EventLog } from '../../streams/event-log.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import type { Processor } from '../../streams/processor.ts';
import { Task } from '../../streams/task.ts';
import { canonicalBytes, replayJournal } from '../../streams/verify.ts';
import { seededRandom } from '../crash/scenario.ts';
import { openTestServices } from '../services.ts';
import { readAll } from './event-log-fixtures.ts';
import { delivery, joinProbe, testCodec, tick } from './probe.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const PARTITION = partitionOf('site-0', PARTITION_COUNT);
const EVENTS = 40;
const processors = [joinProbe as Processor];
const codec = testCodec();
const bytesOf = (record: Parameters<typeof canonicalBytes>[0]) => canonicalBytes(record, (id) => codec.fingerprintOf(id)).toString('hex');

/** Looks come at random times, so that they and the appends interleave anew. */
function delayed(log: EventLog, random: () => number): EventLog {
  const slow = Object.create(log) as EventLog;
  slow.readMany = async (requests, options) => {
    await pause(random() * 10);
    return log.readMany(requests, options);
  };
  return slow;
}

/** Appends by three writers, as processes have them: two of a topic each, and one of ticks. */
async function appendAll(namespace: string, random: () => number): Promise<void> {
  const write = async (of: (number: number) => ReturnType<typeof tick>) => {
    const log = await openKafkaLog({ settings, namespace });
    for (let number = 1; number <= EVENTS; number++) {
      await log.append([{ ...of(number), partition: PARTITION }]);
      await pause(random() * 10);
    }
    await log.close();
  };
  const knownAtMs = () => Math.floor(random() * 1_000_000);
  await Promise.all([
    write((number) => delivery(codec, 'meter.readings', 'site-0', number, knownAtMs())),
    write((number) => delivery(codec, 'sensor.readings', 'site-0', number, knownAtMs())),
    write((number) => tick(codec, PARTITION, number, number * 1_000)),
  ]);
}

/** Returns what the task emitted. */
async function probe(log: EventLog, random: () => number): Promise<string> {
  let appending = true;
  const appends = appendAll(log.namespace, random).finally(() => {
    appending = false;
  });
  let task = new Task({ log: delayed(log, random), codec, processors, partition: PARTITION, label: 'test' });
  for (let steps = 1; appending; steps++) {
    await task.step();
    // Now and then another owner goes on from what the log has.
    if (steps % 20 === 0) task = new Task({ log: delayed(log, random), codec, processors, partition: PARTITION, label: 'test' });
  }
  await appends;
  while (await task.step());
  const emitted = (await readAll(log, { topic: 'notices', partition: PARTITION })).map(bytesOf);
  const replayed: string[] = [];
  for await (const { outputs } of replayJournal({ log, codec, processors, partition: PARTITION })) replayed.push(...outputs.map(bytesOf));
  assert.ok(emitted.length >= 2 * EVENTS, `${emitted.length} events`);
  assert.deepEqual(replayed, emitted);
  return emitted.join();
}

test('join probe on Kafka: whatever interleaving a task saw under random delays, the replay of its journal sees the same', async () => {
  const interleavings = new Set<string>();
  for (let seed = 1; seed <= 3; seed++) {
    const namespace = services.namespace();
    const random = seededRandom(seed);
    const log = await openKafkaLog({ settings, namespace });
    try {
      interleavings.add(await probe(log, random));
    } finally {
      await log.close();
    }
  }
  assert.equal(interleavings.size, 3, 'Each seed gave an interleaving of its own.');
});
