/**
 * What every log must keep, whichever it is. Nothing here knows SQL, or that offsets are without holes (those of Kafka
 * count the ends of transactions too), or that compaction happens at once (a broker does it in its own time).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { MAX_EVENT_BYTES, MAX_NAME_CHARS } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { concurrency, keeping, redelivery } from './event-log-contract-order.ts';
import { tasks } from './event-log-contract-tasks.ts';
import {
  type Again,
  ALL,
  appendLater,
  type Check,
  CONTRACT_TOPICS,
  code,
  type LogFactory,
  numbered,
  readAll,
  record,
  step,
  textOf,
  texts,
} from './event-log-fixtures.ts';

export function eventLogContract(name: string, factory: LogFactory): void {
  const check = (what: string, run: (log: EventLog, namespace: string) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const namespace = factory.namespace();
      const log = await factory.open(namespace, CONTRACT_TOPICS);
      try {
        await run(log, namespace);
      } finally {
        await log.close();
      }
    });
  const again = async <T>(namespace: string, run: (log: EventLog) => Promise<T>): Promise<T> => {
    const log = await factory.open(namespace, CONTRACT_TOPICS);
    try {
      return await run(log);
    } finally {
      await log.close();
    }
  };
  appending(check, again);
  reading(check);
  concurrency(check, again, factory);
  redelivery(check, again);
  keeping(check);
  tasks(check, again);
  apart(factory, check);
}

function appending(check: Check, again: Again): void {
  check('records come back as they were given, in order, in the partition of their key', async (log, namespace) => {
    const keys = ['site-1', 'site-2', 'Häuschen 🏠', '', 'site-3', 'ключ'];
    const given = Array.from({ length: 300 }, (_, i) =>
      record({
        key: keys[i % keys.length],
        value: Buffer.from(i % 10 === 0 ? '' : `${i} é`),
        headers: {
          source: `quelle ${i % 3} ü`,
          number: i % 4 === 0 ? -1 : i,
          knownAtMs: 1_700_000_000_000 + ((i * 7_919) % 1_000),
          ...(i % 2 === 0 && { id: `id-${i}` }),
          ...(i % 3 === 0 && { causes: `test#${i} facts.a/3:1-${i}` }),
          ...(i % 5 === 0 && { run: 'run-7' }),
          ...(i % 7 === 0 && { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }),
        },
      }),
    );
    for (let i = 0; i < given.length; i += 70) await log.append(given.slice(i, i + 70));
    const shown = (each: NewRecord) => ({
      topic: each.topic,
      key: each.key,
      value: Buffer.from(each.value).toString(),
      headers: each.headers,
    });
    await again(namespace, async (other) => {
      for (const reader of [log, other])
        for (let partition = 0; partition < 4; partition++) {
          const read = await readAll(reader, { topic: 'facts.a', partition });
          assert.deepEqual(read.map(shown), given.filter(({ key }) => partitionOf(key, 4) === partition).map(shown));
          assert.ok(read.every((each) => each.partition === partition));
          assert.ok(
            read.every((each, i) => i === 0 || each.offset > read[i - 1].offset),
            'offsets ascend',
          );
          assert.ok(
            read.every((each, i) => i === 0 || each.appendedMs >= read[i - 1].appendedMs),
            'appended times never fall',
          );
        }
    });
  });

  check('a given partition overrides that of the key', async (log) => {
    await log.append([record({ key: 'a', partition: 3 }), record({ key: 'a', partition: 1 }), record({ key: 'a', partition: 3 })]);
    const counts = await Promise.all([0, 1, 2, 3].map(async (partition) => (await readAll(log, { topic: 'facts.a', partition })).length));
    assert.deepEqual(counts, [0, 1, 0, 2]);
  });

  check('an empty append does nothing', async (log) => {
    assert.deepEqual(await log.append([]), { appended: 0, redelivered: 0 });
  });

  check('an event at the size limit passes, one above it refuses the whole call', async (log) => {
    const value = Buffer.alloc(MAX_EVENT_BYTES, 'é');
    assert.deepEqual(await log.append([record({ partition: 0, value })]), { appended: 1, redelivered: 0 });
    const over = record({ partition: 0, value: Buffer.alloc(MAX_EVENT_BYTES + 1) });
    await assert.rejects(
      log.append([numbered('s', 1, { partition: 0 }), over, numbered('s', 2, { topic: 'facts.b' })]),
      code('EVENT_TOO_LARGE'),
    );
    const read = await readAll(log, { topic: 'facts.a', partition: 0 });
    assert.equal(read.length, 1);
    assert.ok(value.equals(read[0].value));
    assert.deepEqual(await log.endOffsets('facts.b'), [0, 0, 0, 0]);
    assert.deepEqual(await log.append([numbered('s', 1, { partition: 0 })]), { appended: 1, redelivered: 0 }, 'nothing was noted of it');
  });

  check('more than one batch holds goes into one call', async (log) => {
    const value = Buffer.alloc(700_000, 7);
    await log.append(
      Array.from({ length: 13 }, (_, i) => numbered('large', i, { topic: 'narrow', value: Buffer.concat([Buffer.from([i]), value]) })),
    );
    const read = await readAll(log, { topic: 'narrow', partition: 0 });
    assert.deepEqual(
      read.map((each) => each.value[0]),
      Array.from({ length: 13 }, (_, i) => i),
    );
    assert.ok(read.every((each) => each.value.length === 700_001));
  });

  check('what is not known or not allowed is refused whole', async (log) => {
    const good = numbered('s', 1, { topic: 'narrow' });
    const at = { topic: 'nowhere', partition: 0 };
    await assert.rejects(log.append([good, record({ topic: 'nowhere' })]), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.append([good, record({ partition: 4 })]), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.append([good, record({ partition: -1 })]), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.append([good, record({ key: 'k'.repeat(MAX_NAME_CHARS + 1) })]), code('EVENT_INVALID'));
    await assert.rejects(log.append([good, numbered('s'.repeat(MAX_NAME_CHARS + 1), 1)]), code('EVENT_INVALID'));
    for (const knownAtMs of [Number.NaN, 0.5, 1e300])
      await assert.rejects(log.append([good, record({ headers: { knownAtMs } })]), code('EVENT_INVALID'));
    for (const number of [-2, Number.NaN, 1.5])
      await assert.rejects(log.append([good, record({ headers: { number } })]), code('EVENT_INVALID'));
    await assert.rejects(log.read(at, 0, ALL), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.read({ topic: 'narrow', partition: 1 }, 0, ALL), code('TOPIC_UNKNOWN'));
    await assert.rejects(
      log.readMany(
        [
          { at: { topic: 'narrow', partition: 0 }, offset: 0 },
          { at, offset: 0 },
        ],
        ALL,
      ),
      code('TOPIC_UNKNOWN'),
    );
    await assert.rejects(log.endOffsets('nowhere'), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.offsetAtAppendedTime(at, 0), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.compact('nowhere'), code('TOPIC_UNKNOWN'));
    await assert.rejects(log.compact('facts.a'), code('CONFIG_INVALID'));
    await assert.rejects(log.retain('facts.a', 0), code('CONFIG_INVALID'));
    assert.deepEqual(await log.endOffsets('narrow'), [0]);
    assert.deepEqual(await log.append([good]), { appended: 1, redelivered: 0 });
  });

  check('sources and keys at their longest pass, in any script', async (log) => {
    const long = '界'.repeat(MAX_NAME_CHARS);
    await log.append([numbered(long, 1, { topic: 'narrow', key: long })]);
    assert.deepEqual(await log.append([numbered(long, 1, { topic: 'narrow', key: long })]), { appended: 0, redelivered: 1 });
    assert.equal((await readAll(log, { topic: 'narrow', partition: 0 }))[0].key, long);
  });
}

function reading(check: Check): void {
  check('reads keep their bounds, give at least one record, and go on without a gap', async (log) => {
    const at = { topic: 'narrow', partition: 0 };
    for (let i = 0; i < 12; i++)
      await log.append(
        Array.from({ length: 1 + ((i * 5) % 17) }, (_, j) => record({ ...at, value: Buffer.from(`${i}.${j}`.padEnd(100)) })),
      );
    const all = await readAll(log, at);
    const expected = all.map(textOf);
    for (const options of [
      { maxRecords: 1, maxBytes: 1 },
      { maxRecords: 7, maxBytes: 1_000_000 },
      { maxRecords: 10_000, maxBytes: 1 },
      { maxRecords: 10_000, maxBytes: 3_000 },
    ]) {
      assert.deepEqual((await readAll(log, at, 0, options)).map(textOf), expected);
      const first = await log.read(at, 0, options);
      assert.ok(first.records.length >= 1);
    }
    for (const from of [0, 1, 5, 40, all.length - 1]) {
      const { offset } = all[from];
      assert.deepEqual((await readAll(log, at, offset)).map(textOf), expected.slice(from));
      assert.equal((await log.read(at, offset, { maxRecords: 1, maxBytes: 1 })).records[0].offset, offset);
    }
    const [end] = await log.endOffsets('narrow');
    assert.deepEqual(await log.read(at, end, ALL), { records: [], nextOffset: end });
    const many = await log.readMany(
      [3, 0, 9].map((from) => ({ at, offset: all[from].offset })),
      ALL,
    );
    assert.deepEqual(
      many.map(({ records }) => records.map(textOf)),
      [3, 0, 9].map((from) => expected.slice(from)),
    );
  });

  check('an offset is found by the time of appending', async (log) => {
    const at = { topic: 'facts.b', partition: 2 };
    assert.equal(await log.offsetAtAppendedTime(at, 0), (await log.endOffsets('facts.b'))[2]);
    await log.append([record({ ...at }), record({ ...at })]);
    let lastMs = 0;
    for (let i = 0; i < 4; i++) lastMs = await appendLater(log, at, lastMs);
    const all = await readAll(log, at);
    for (const timeMs of new Set(all.flatMap(({ appendedMs }) => [appendedMs - 1, appendedMs, appendedMs + 0.5]))) {
      const from = await log.offsetAtAppendedTime(at, timeMs);
      const expected = all.filter(({ appendedMs }) => appendedMs >= timeMs);
      assert.deepEqual(
        (await readAll(log, at, from)).map(({ offset }) => offset),
        expected.map(({ offset }) => offset),
      );
    }
    assert.equal(await log.offsetAtAppendedTime(at, lastMs + 1), (await log.endOffsets('facts.b'))[2]);
  });

  check('waiting ends with an append, a time-out, or an abort', async (log) => {
    const longMs = 600_000;
    await log.waitForAppend(1);
    await log.waitForAppend(longMs, AbortSignal.abort());
    const stop = new AbortController();
    const aborted = log.waitForAppend(longMs, stop.signal);
    stop.abort();
    await aborted;
    const waiting = log.waitForAppend(longMs);
    await log.append([record({})]);
    await waiting;
    const task = await log.takeTask(0);
    const further = log.waitForAppend(longMs);
    await task.commit(step({ outputs: [record({ topic: 'derived' })] }));
    await further;
  });
}

function apart(factory: LogFactory, check: Check): void {
  check('namespaces know nothing of each other', async (log) => {
    const other = await factory.open(factory.namespace(), CONTRACT_TOPICS);
    try {
      const one = numbered('s', 1, { topic: 'narrow' });
      await log.append([one, numbered('s', 2, { topic: 'narrow' })]);
      assert.deepEqual(await other.endOffsets('narrow'), [0]);
      assert.deepEqual(await other.append([one]), { appended: 1, redelivered: 0 });
      const task = await log.takeTask(1);
      await task.commit(step({ positions: { narrow: 1 } }));
      assert.deepEqual((await other.takeTask(1)).state.stepNumber, 0);
      assert.deepEqual(await other.taskPositions(1), {});
      await task.commit(step({ positions: { narrow: 2 } }));
      assert.deepEqual(await texts(log, { topic: 'narrow', partition: 0 }), ['1', '2']);
      assert.deepEqual(await texts(other, { topic: 'narrow', partition: 0 }), ['1']);
    } finally {
      await other.close();
    }
  });

  check('partitions, once made, cannot be changed; further topics can be added', async (log, namespace) => {
    await log.append([record({ topic: 'narrow' })]);
    const wider = CONTRACT_TOPICS.map((each) => (each.name === 'narrow' ? { ...each, partitions: 2 } : each));
    await assert.rejects(factory.open(namespace, wider), code('CONFIG_INVALID'));
    const more = await factory.open(namespace, [...CONTRACT_TOPICS, { ...CONTRACT_TOPICS[0], name: 'facts.c', partitions: 3 }]);
    assert.deepEqual(await more.endOffsets('facts.c'), [0, 0, 0]);
    assert.equal((await readAll(more, { topic: 'narrow', partition: 0 })).length, 1);
    await more.close();
  });
}
