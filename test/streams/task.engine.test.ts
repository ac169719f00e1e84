import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { Rejected } from '../../schemas/types.ts';
import type { EventLog, NewRecord, Positions, TaskHandle } from '../../streams/event-log.ts';
import { HOUR_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import type { Processor } from '../../streams/processor.ts';
import { topicsOf } from '../../streams/processor.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { Task } from '../../streams/task.ts';
import { canonicalBytes, replayJournal, verifyTask } from '../../streams/verify.ts';
import { SCENARIO_FROM_MS, scenarioFacts, seededRandom } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { delivery, joinProbe, tick } from './probe.ts';

const engine = await openTestEngine();
const PARTITION = partitionOf('site-0', PARTITION_COUNT);
const NEIGHBOUR = Array.from({ length: 100 }, (_, i) => `neighbour-${i}`).find((key) => partitionOf(key, PARTITION_COUNT) === PARTITION)!;
const TICK_MS = HOUR_MS / 4;
const probe = joinProbe as Processor;

async function withLog<T>(work: (log: EventLog, codec: Codec) => Promise<T>): Promise<T> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  try {
    return await work(log, await openRegistry(engine.url, namespace));
  } finally {
    await log.close();
  }
}

interface Setting {
  log: EventLog;
  codec: Codec;
  processors?: readonly Processor[];
  label?: string;
}

const taskOf = ({ log, codec, processors = TOPOLOGY, label = 'test' }: Setting) =>
  new Task({ log, codec, processors, partition: PARTITION, label });

/** Steps until there is nothing more to read. */
async function finish(task: Task): Promise<void> {
  while (await task.step());
}

/** Facts of one site with ticks between them, in the order of a feed, without those that need a reload. */
function siteRecords(codec: Codec): NewRecord[] {
  const records: NewRecord[] = [];
  let tickMs = SCENARIO_FROM_MS;
  for (const { topic, schema, key, value, source, number } of scenarioFacts({ seed: 3, sites: 1, days: 2 })) {
    // Before the fact: of the same time, the fact would be taken first where both are seen.
    while (tickMs + TICK_MS < value.knownAtMs) {
      tickMs += TICK_MS;
      records.push(tick(codec, PARTITION, tickMs / TICK_MS, tickMs));
    }
    const starts = schema === 'ReadingsDelivery' ? (value as { series: { startMs: number[] }[] }).series[0].startMs[0] : tickMs;
    if (starts < tickMs - 3 * HOUR_MS) continue;
    records.push({ topic, key, value: codec.encode(schema, value), headers: { source, number, type: schema, knownAtMs: value.knownAtMs } });
  }
  return records;
}

/** A short name of canonical bytes, for comparison. */
function nameOf(codec: Codec, record: NewRecord): string {
  return `${record.topic} ${hash(
    'sha256',
    canonicalBytes(record, (id) => codec.fingerprintOf(id)),
  ).slice(0, 16)}`;
}

async function derived(log: EventLog, codec: Codec, processors: readonly Processor[] = TOPOLOGY): Promise<string[]> {
  const all: string[] = [];
  for (const topic of topicsOf(processors).outputs)
    for (let offset = 0; topic !== 'runs'; ) {
      const { records, nextOffset } = await log.read({ topic, partition: PARTITION }, offset, { maxRecords: 5_000, maxBytes: 2 ** 23 });
      if (nextOffset === offset) break;
      for (const record of records) all.push(nameOf(codec, record));
      offset = nextOffset;
    }
  return all;
}

/** What comes out where one task takes everything in one go. */
async function undisturbed(): Promise<string[]> {
  return withLog(async (log, codec) => {
    await log.append(siteRecords(codec));
    await finish(taskOf({ log, codec }));
    return derived(log, codec);
  });
}

test('a task that is restored from snapshot and deltas before every step gives what an undisturbed one gives', async () => {
  const expected = await undisturbed();
  assert.ok(expected.length > 100, `${expected.length} derived events`);
  await withLog(async (log, codec) => {
    const records = siteRecords(codec);
    const random = seededRandom(5);
    let snapshots = 0;
    for (let at = 0; at < records.length; ) {
      const count = 1 + Math.floor(random() * 6);
      await log.append(records.slice(at, at + count));
      at += count;
      await finish(taskOf({ log, codec }));
      if (at % 40 < count && (await log.takeTask(PARTITION)).state.snapshot) snapshots++;
    }
    assert.deepEqual(await derived(log, codec), expected);
    const state = (await log.takeTask(PARTITION)).state;
    assert.ok(snapshots > 0 && state.deltas.length > 0, 'The last state is a snapshot with deltas after it.');
  });
});

/** A processor that throws once after each event, or after each tick. */
function failingOnce(processor: Processor, when: 'onEvent' | 'onTick', thrown: Set<string>): Processor {
  const failOnce = (what: string) => {
    if (thrown.has(what)) return;
    thrown.add(what);
    throw new Error(`injected after ${what}`);
  };
  return {
    ...processor,
    onEvent(state, event, emit, reject) {
      processor.onEvent(state, event, emit, reject);
      if (when === 'onEvent') failOnce(`${event.topic} ${event.knownAtMs} ${JSON.stringify(event.value).length}`);
    },
    onTick(state, tickMs, emit) {
      processor.onTick(state, tickMs, emit);
      if (when === 'onTick') failOnce(`tick ${tickMs}`);
    },
  };
}

test('a throw after every event, or after every tick, of each processor changes nothing', async () => {
  const expected = await undisturbed();
  for (const failing of TOPOLOGY)
    for (const when of ['onEvent', 'onTick'] as const)
      await withLog(async (log, codec) => {
        const thrown = new Set<string>();
        const processors = TOPOLOGY.map((processor) => (processor === failing ? failingOnce(processor, when, thrown) : processor));
        const records = siteRecords(codec);
        const task = taskOf({ log, codec, processors });
        for (let at = 0; at < records.length; at += 25) {
          await log.append(records.slice(at, at + 25));
          await finish(task);
        }
        assert.ok(thrown.size > 50, `${thrown.size} throws`);
        assert.deepEqual(await derived(log, codec), expected);
      });
});

/** Fails commits of a task: before they reach the log, or after, as if the acknowledgement were lost. */
function losingCommits(log: EventLog, isLost: () => 'before' | 'after' | null): EventLog {
  const losing = Object.create(log) as EventLog;
  losing.takeTask = async (partition) => {
    const handle = await log.takeTask(partition);
    const commit: TaskHandle['commit'] = async (step) => {
      const lost = isLost();
      if (lost === 'before') throw new Error('injected before the commit');
      await handle.commit(step);
      if (lost === 'after') throw new Error('injected after the commit');
    };
    return { partition, state: handle.state, commit, release: () => handle.release() };
  };
  return losing;
}

test('every step whose commit fails, before or after it took effect, is taken up where the log says', async () => {
  const expected = await undisturbed();
  for (const when of ['before', 'after'] as const)
    await withLog(async (log, codec) => {
      const records = siteRecords(codec);
      let commits = 0;
      const task = taskOf({ log: losingCommits(log, () => (commits++ % 2 === 0 ? when : null)), codec });
      for (let at = 0; at < records.length; at += 20) {
        await log.append(records.slice(at, at + 20));
        await finish(task);
      }
      assert.ok(commits >= records.length / 20, `${commits} commits`);
      assert.deepEqual(await derived(log, codec), expected);
    });
});

test('a task that was taken over cannot commit any more, and its successor goes on', async () => {
  await withLog(async (log, codec) => {
    const expected = await undisturbed();
    const records = siteRecords(codec);
    const first = taskOf({ log, codec });
    await log.append(records.slice(0, 60));
    await first.step();
    const second = taskOf({ log, codec });
    await second.open();
    await log.append(records.slice(60));
    await assert.rejects(first.step(), { code: 'TASK_FENCED' });
    await finish(second);
    assert.deepEqual(await derived(log, codec), expected);
  });
});

test('state under another label is refused, also where there is no snapshot yet', async () => {
  await withLog(async (log, codec) => {
    await log.append([delivery(codec, 'meter.readings', 'site-0', 1, 1)]);
    await finish(taskOf({ log, codec, processors: [probe] }));
    assert.equal((await log.takeTask(PARTITION)).state.snapshot, null);
    await assert.rejects(taskOf({ log, codec, processors: [probe], label: 'other' }).step(), { code: 'CONFIG_INVALID' });
  });
});

test('poison: events that always throw are set aside one by one, for their key only, and a verify replay says the same', async () => {
  const poisonous: Processor = {
    ...probe,
    onEvent(state, event, emit, reject) {
      probe.onEvent(state, event, emit, reject);
      if (event.key === 'site-0' && event.knownAtMs % 3 === 0) throw new Error('poison');
    },
  };
  await withLog(async (log, codec) => {
    const records: NewRecord[] = [];
    for (let i = 1; i <= 30; i++) {
      records.push(delivery(codec, 'meter.readings', 'site-0', 2 * i, i), delivery(codec, 'meter.readings', NEIGHBOUR, 2 * i + 1, i));
      if (i % 10 === 0) records.push(tick(codec, PARTITION, i, i));
    }
    await log.append(records);
    const task = taskOf({ log, codec, processors: [poisonous] });
    await finish(task);
    assert.equal(task.progress.suspects, 1);
    const { records: rejected } = await log.read({ topic: 'rejected', partition: PARTITION }, 0, { maxRecords: 100, maxBytes: 2 ** 20 });
    const reasons = rejected.map((record) => codec.decodeAs('Rejected', record.value) as Rejected);
    assert.deepEqual(
      reasons.map(({ code, siteId, knownAtMs }) => [code, siteId, knownAtMs]),
      Array.from({ length: 10 }, (_, i) => ['PROCESSOR_FAILED', 'site-0', 3 * (i + 1)]),
    );
    assert.deepEqual(Buffer.from(reasons[0].bytes), Buffer.from(records.find(({ headers }) => headers.number === 6)!.value));
    assert.equal((await verifyTask({ log, codec, processors: [poisonous], partition: PARTITION })).difference, null);
  });
});

/** Lets a random number of turns of the event loop pass before each look, so that looks and appends interleave anew. */
function delayed(log: EventLog, random: () => number): EventLog {
  const slow = Object.create(log) as EventLog;
  slow.readMany = async (requests, options) => {
    for (let turns = Math.floor(random() * 30); turns > 0; turns--) await new Promise(setImmediate);
    return log.readMany(requests, options);
  };
  return slow;
}

test('join probe: whatever interleaving a task saw under random delays, the replay of its journal sees the same', async () => {
  const interleavings = new Set<string>();
  for (let seed = 1; seed <= 4; seed++)
    await withLog(async (log, codec) => {
      const random = seededRandom(seed);
      const append = async (topic: string) => {
        for (let i = 1; i <= 60; i++) {
          await log.append([delivery(codec, topic, 'site-0', i, Math.floor(random() * 1_000_000))]);
          for (let turns = Math.floor(random() * 20); turns > 0; turns--) await new Promise(setImmediate);
          if (i % 20 === 0) await log.append([tick(codec, PARTITION, i * 2 + (topic[0] === 'm' ? 0 : 1), i * 1_000)]);
        }
      };
      let appending = true;
      const appends = Promise.all([append('meter.readings'), append('sensor.readings')]).then(() => {
        appending = false;
      });
      const task = taskOf({ log: delayed(log, random), codec, processors: [probe] });
      while (appending) await task.step();
      await appends;
      await finish(task);

      const emitted = await derived(log, codec, [probe]);
      const replayed: string[] = [];
      for await (const { outputs } of replayJournal({ log, codec, processors: [probe], partition: PARTITION }))
        for (const output of outputs) replayed.push(nameOf(codec, output));
      assert.ok(emitted.length >= 120);
      assert.deepEqual(replayed, emitted);
      interleavings.add(emitted.join());
    });
  assert.equal(interleavings.size, 4, 'Each seed gave an interleaving of its own.');
});

/** A log with a hole after every record, as transactions leave them in a log of another kind. */
function withHoles(log: EventLog): EventLog {
  const holed = Object.create(log) as EventLog;
  holed.endOffsets = async (topic) => (await log.endOffsets(topic)).map((end) => 2 * end);
  holed.readMany = async (requests, options) => {
    const results = await log.readMany(
      requests.map(({ at, offset }) => ({ at, offset: Math.ceil(offset / 2) })),
      options,
    );
    return results.map(({ records, nextOffset }) => ({
      records: records.map((record) => ({ ...record, offset: 2 * record.offset })),
      nextOffset: 2 * nextOffset,
    }));
  };
  holed.read = async (at, offset, options) => (await holed.readMany([{ at, offset }], options))[0];
  return holed;
}

test('where the log has holes, positions reach its ends, also after a restart, and the journal says the same', async () => {
  await withLog(async (plain, codec) => {
    const log = withHoles(plain);
    for (let part = 0; part < 3; part++) {
      const records: NewRecord[] = [];
      for (let i = 1 + 10 * part; i <= 10 + 10 * part; i++)
        records.push(delivery(codec, 'meter.readings', 'site-0', i, 2 * i), delivery(codec, 'sensor.readings', 'site-0', i, 2 * i + 1));
      await log.append([...records, tick(codec, PARTITION, part, 100 * part)]);
      await finish(taskOf({ log, codec, processors: [probe] }));
      const positions = await log.taskPositions(PARTITION);
      const end = 20 * (part + 1);
      assert.deepEqual(positions, { 'meter.readings': end, 'sensor.readings': end, ticks: 2 * (part + 1) });
      for (const [topic, position] of Object.entries(positions as Positions))
        assert.equal((await log.endOffsets(topic))[PARTITION], position);
    }
    const verified = await verifyTask({ log, codec, processors: [probe], partition: PARTITION });
    assert.deepEqual([verified.difference, verified.records], [null, 63]);
  });
});

test('an answer to a reload that the task has not asked for ends it, and nothing is taken', async () => {
  await withLog(async (log, codec) => {
    const { headers, ...given } = delivery(codec, 'day.reloaded', 'site-0', 0, 1);
    const causes = `x revisions.requested/${PARTITION}:4-4`;
    await log.append([{ ...given, headers: { ...headers, source: 'reload', causes } }]);
    const task = taskOf({ log, codec, processors: [{ ...probe, reads: ['day.reloaded'] }] });
    await assert.rejects(task.step(), { code: 'INTERNAL', message: /answers revisions\.requested\/\d+\/4, which/ });
    assert.deepEqual(await log.taskPositions(PARTITION), {});
  });
});
