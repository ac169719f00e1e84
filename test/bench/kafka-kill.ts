/**
 * How long tasks of many points are away where one of two members that share them over Kafka is killed (SIGKILL) while it
 * works, with the hot state of 100,000 points at one minute: from the kill to the first new output of one of its tasks that
 * can be read. Others take it for dead once its session is over (10 s, the default); then they take its tasks over, with
 * their durable state. Facts go on being appended meanwhile. What the tasks wrote is verified afterwards.
 */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { openPlace } from '../../infra/services/place.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { type KafkaSettings, kafkaSettings } from '../../streams/kafka-settings.ts';
import { MEMBER_SESSION_MS, MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { verifyTask } from '../../streams/verify.ts';
import { withServicesOfARun } from '../services-of-a-run.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { appendHours, declaration, HOURS_AFTER, HOURS_BEFORE, POINTS_PER_SITE } from './hours-of-points.ts';
import { TasksProcess } from './kafka-tasks-processes.ts';
import { numberedCodec } from './numbered-codec.ts';

const NAMESPACE = 'bench_kafka_kill';
const OUTPUT = 'resampled.5m';
const POLL_MS = 20;
const LIMIT_MS = 10 * MINUTE_MS;
const ONE = { maxRecords: 1, maxBytes: 1 };

const { codec } = numberedCodec();

export const kafkaKillBenchmark: Benchmark = {
  targets: ['kafka-kill-100k-points'],
  run: ({ quick }) =>
    withServicesOfARun(async (): Promise<Measured> => {
      const place = openPlace(() => {});
      await up(place, 'kafka');
      const kafka = kafkaSettings(SERVICES.kafka.clientSettings(place))!;
      await dropKafkaNamespace(kafka, NAMESPACE);
      try {
        return await measure(kafka, quick ? 10_000 : 100_000);
      } finally {
        await dropKafkaNamespace(kafka, NAMESPACE);
      }
    }),
};

async function measure(kafka: KafkaSettings, points: number): Promise<Measured> {
  const log = await openKafkaLog({ settings: kafka, namespace: NAMESPACE });
  const members: TasksProcess[] = [];
  try {
    const sites = points / POINTS_PER_SITE;
    await log.append(Array.from({ length: sites }, (_, site) => declaration(codec, site)));
    const options = { kafka, namespace: NAMESPACE, own: NAMESPACE, processors: 'topology', isShared: true } as const;
    members.push(new TasksProcess(options), new TasksProcess(options));
    await appendHours(log, codec, sites, 0, HOURS_BEFORE);
    await until('all facts are taken in', () => isConsumed(log));
    const held = (await members[1].report()).held;
    assert.equal(held.length, PARTITION_COUNT / 2);
    const before = await log.endOffsets(OUTPUT);
    const appending = appendHours(log, codec, sites, HOURS_BEFORE, HOURS_BEFORE + HOURS_AFTER);
    // It works on what is being appended, so this comes in the middle of it.
    await until('the member works', async () => (await log.endOffsets(OUTPUT)).some((end, i) => held.includes(i) && end > before[i]));
    const killedAtMs = Date.now();
    await members[1].kill();
    const moved = secondsUntilMoved(members[0], killedAtMs);
    const seconds = await secondsUntilBack(log, held, before, killedAtMs);
    await appending;
    await until('all facts are taken in', () => isConsumed(log));
    const { difference, outputs } = await verifyTask({ log, codec, processors: TOPOLOGY, partition: held[0] });
    assert.equal(difference, null);
    await members[0].kill();
    const figures = {
      points,
      'session time-out: s': MEMBER_SESSION_MS / 1000,
      'tasks of the killed member': held.length,
      'state of all of its tasks: MB': (await stateBytes(log, held)) / 1e6,
      'its tasks are given to the other member: s': await moved,
      'first new output of its tasks: s': Math.min(...seconds),
      'first new output of the last of its tasks: s': Math.max(...seconds),
      'outputs verified': outputs,
    };
    return { ratios: { 'kafka-kill-100k-points': Math.min(...seconds) }, figures };
  } finally {
    await Promise.all(members.map((each) => each.kill()));
    await log.close();
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS;
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`It did not come about that ${what}.`);
    await pause(POLL_MS);
  }
}

/** What is left before an end may be nothing but the ends of transactions. */
async function isConsumed(log: EventLog): Promise<boolean> {
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const positions = await log.taskPositions(partition);
    for (const topic of ['sites', 'meter.readings', 'ticks'])
      if ((await log.read({ topic, partition }, positions[topic] ?? 0, ONE)).records.length > 0) return false;
  }
  return true;
}

/**
 * Of each partition the seconds from the kill until an output can be read that was written after it: what the member had
 * written before may still be committed by then, but is not new.
 */
async function secondsUntilBack(log: EventLog, held: readonly number[], from: readonly number[], killedAtMs: number): Promise<number[]> {
  const seconds = new Map<number, number>();
  const offsets = [...from];
  await until('all tasks are back', async () => {
    for (const partition of held) {
      if (seconds.has(partition)) continue;
      const { records, nextOffset } = await log.read({ topic: OUTPUT, partition }, offsets[partition], {
        maxRecords: 1_000,
        maxBytes: 1 << 20,
      });
      offsets[partition] = nextOffset;
      if (records.some(({ appendedMs }) => appendedMs > killedAtMs)) seconds.set(partition, (Date.now() - killedAtMs) / 1000);
    }
    return seconds.size === held.length;
  });
  return [...seconds.values()];
}

async function secondsUntilMoved(to: TasksProcess, killedAtMs: number): Promise<number> {
  await until('its tasks are given to the other member', async () => (await to.report()).held.length === PARTITION_COUNT);
  return (Date.now() - killedAtMs) / 1000;
}

/** What a task that is taken over has to read. */
async function stateBytes(log: EventLog, partitions: readonly number[]): Promise<number> {
  let bytes = 0;
  for (const partition of partitions) {
    const { state, release } = await log.takeTask(partition);
    bytes += (state.snapshot?.length ?? 0) + state.deltas.reduce((sum, { length }) => sum + length, 0);
    await release();
  }
  return bytes;
}
