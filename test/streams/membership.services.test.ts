/** Members of one group on a real broker, each with its own connections, as in processes of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaveGroupV5 } from '@platformatic/kafka';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaMembership, taskGroup } from '../../streams/kafka-membership.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import type { Processor } from '../../streams/processor.ts';
import { type Running, runTasks } from '../../streams/run.ts';
import { openTestServices } from '../services.ts';
import { delivery, joinProbe, testCodec, tick } from './probe.ts';
import { untilShared } from './task-groups.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const codec = testCodec();
const probe = joinProbe as Processor;
const SITES = Array.from({ length: 40 }, (_, i) => `site-${i}`);
const ALL = { maxRecords: 10_000, maxBytes: 2 ** 22 };

interface Member {
  log: EventLog;
  running: Running;
  stop(): Promise<void>;
}

/** A namespace with its members; what one of them cannot go on from rejects `failed`. */
class Group {
  readonly namespace = services.namespace();
  private fail: (error: unknown) => void = () => {};
  readonly failed = new Promise<never>((_, reject) => {
    this.fail = reject;
  });
  private members: Member[] = [];
  private rounds = 0;

  constructor() {
    this.failed.catch(() => {});
  }

  async join(): Promise<Member> {
    const { namespace } = this;
    const log = await openKafkaLog({ settings, namespace });
    const stopping = new AbortController();
    const running = runTasks({
      ...{ log, codec, processors: [probe], codeVersion: 'test', configurationHash: 'test', signal: stopping.signal },
      membership: kafkaMembership(settings, namespace),
      onFailure: this.fail,
    });
    const member = {
      log,
      running,
      stop: async () => {
        this.members = this.members.filter((each) => each !== member);
        stopping.abort();
        await running.stopped;
        await log.close();
      },
    };
    this.members.push(member);
    return member;
  }

  shared(count = this.members.length) {
    return untilShared({ settings, namespace: this.namespace }, ({ length }) => length === count, this.failed);
  }

  /** Appends some facts of every site and a tick after them, and waits until they are taken in, whoever does it. */
  async feed(): Promise<void> {
    const { log } = this.members[0];
    const knownAtMs = ++this.rounds * MINUTE_MS;
    const facts = SITES.flatMap((site, i): NewRecord[] => {
      const topics = (i + this.rounds) % 3 === 0 ? ['sensor.readings', 'meter.readings'] : ['meter.readings'];
      return topics.map((topic) => delivery(codec, topic, site, this.rounds, knownAtMs));
    });
    await log.append(facts);
    await log.append(Array.from({ length: PARTITION_COUNT }, (_, partition) => tick(codec, partition, this.rounds, knownAtMs)));
    const ends = await log.endOffsets('ticks');
    for (let partition = 0; partition < PARTITION_COUNT; )
      if (((await log.taskPositions(partition)).ticks ?? 0) >= ends[partition]) partition++;
      else await Promise.race([log.waitForAppend(50), this.failed]);
  }

  /** Of each partition what came out, in order: texts of the interleaving that the state has gathered. */
  async outputs(): Promise<string[][]> {
    const { log } = this.members[0];
    return Promise.all(
      Array.from({ length: PARTITION_COUNT }, async (_, partition) => {
        const { records } = await log.read({ topic: 'notices', partition }, 0, ALL);
        return records.map(({ key, headers, value }) => `${key} ${headers.id} ${Buffer.from(value).toString('base64')}`);
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }
}

async function withGroup<T>(work: (group: Group) => Promise<T>): Promise<T> {
  const group = new Group();
  try {
    return await work(group);
  } finally {
    await group.stop();
  }
}

/** What one member alone gives for so many rounds. */
async function undisturbed(rounds: number): Promise<string[][]> {
  return withGroup(async (group) => {
    await group.join();
    for (let round = 0; round < rounds; round++) await group.feed();
    return group.outputs();
  });
}

const sizes = (members: readonly { share: number[] }[]) => members.map(({ share }) => share.length).sort();
const covered = new Set(SITES.map((site) => partitionOf(site, PARTITION_COUNT))).size;

test('members come and go, tasks move with their state, and what comes out is what one member gives', { timeout: 120_000 }, async () => {
  await withGroup(async (group) => {
    const first = await group.join();
    assert.deepEqual(sizes(await group.shared()), [12]);
    await group.feed();
    await group.join();
    assert.deepEqual(sizes(await group.shared()), [6, 6]);
    await group.feed();
    await group.join();
    assert.deepEqual(sizes(await group.shared()), [4, 4, 4]);
    await group.feed();
    const before = await group.shared();
    // The others have its tasks long before its session would have ended, and go on with their own.
    await first.stop();
    const after = await group.shared();
    assert.deepEqual(sizes(after), [6, 6]);
    for (const { memberId, share } of after) {
      const had = before.find((each) => each.memberId === memberId)!.share;
      assert.ok(
        had.every((partition) => share.includes(partition)),
        'Who stays keeps its tasks.',
      );
    }
    await group.feed();
    assert.equal(covered, PARTITION_COUNT);
    assert.deepEqual(await group.outputs(), await undisturbed(4));
  });
});

test('a member that was taken for dead comes back, and nothing is doubled', { timeout: 120_000 }, async () => {
  await withGroup(async (group) => {
    await group.join();
    await group.join();
    const [dead] = await group.shared();
    await group.feed();
    const cluster = new KafkaCluster(settings, 'test');
    const named = { memberId: dead.memberId, groupInstanceId: null, reason: 'test' };
    await cluster.untilDone(() => cluster.sendToAny(leaveGroupV5.api, taskGroup(group.namespace), [named]), { withinMs: 10_000 });
    await cluster.close();
    await group.feed();
    const again = await group.shared();
    assert.deepEqual(sizes(again), [6, 6]);
    assert.ok(again.every(({ memberId }) => memberId !== dead.memberId));
    await group.feed();
    assert.deepEqual(await group.outputs(), await undisturbed(3));
  });
});

test('a task that somebody takes beside the group is taken back', { timeout: 120_000 }, async () => {
  await withGroup(async (group) => {
    const { log, running } = await group.join();
    await group.shared();
    await group.feed();
    await log.takeTask(5);
    await group.feed();
    assert.deepEqual(await group.outputs(), await undisturbed(2));
    assert.match(running.tasks.find(({ partition }) => partition === 5)!.progress.lastFailure!, /took this task over/);
  });
});

test('a member that stops before it has joined leaves nothing behind', { timeout: 60_000 }, async () => {
  await withGroup(async (group) => {
    const member = await group.join();
    await member.stop();
    await group.join();
    assert.deepEqual(sizes(await group.shared(1)), [12]);
  });
});
