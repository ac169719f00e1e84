/** Of the contract of a log: what concurrent readers see, redelivery, and what is kept. */
import assert from 'node:assert/strict';
import type { EventLog, TopicPartition } from '../../streams/event-log.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import {
  type Again,
  ALL,
  appendLater,
  type Check,
  type LogFactory,
  numbered,
  random,
  readAll,
  record,
  textOf,
  texts,
} from './event-log-fixtures.ts';

export function concurrency(check: Check, again: Again, factory: LogFactory): void {
  check('a reader that looks all the while sees each partition grow without a gap, whoever writes', async (log, namespace) => {
    await again(namespace, async (other) => {
      const topics = ['facts.a', 'facts.b'];
      const places = topics.flatMap((name) => [0, 1, 2, 3].map((partition) => ({ topic: name, partition })));
      const written = new Map<string, number>();
      const nameOf = (writer: string, at: TopicPartition) => `${writer} ${at.topic}/${at.partition}`;
      let writing = true;
      const write = async (writer: number) => {
        const pick = random(writer);
        for (let i = 0; i < 25; i++) {
          const batch = Array.from({ length: 1 + pick(30) }, () => {
            const at = places[pick(places.length)];
            const name = nameOf(`w${writer}`, at);
            const number = written.get(name) ?? 0;
            written.set(name, number + 1);
            return numbered(`w${writer}`, number, { ...at, key: `key-${writer}` });
          });
          await (writer % 2 === 0 ? log : other).append(batch);
        }
      };
      const read = async (reader: EventLog, maxRecords: number) => {
        const seen = new Map<string, number>();
        const positions = places.map((at) => ({ at, offset: 0 }));
        for (let found = true; found || writing; ) {
          const wasWriting = writing;
          const results = await reader.readMany(positions, { maxRecords, maxBytes: 100_000 });
          found = wasWriting;
          results.forEach(({ records, nextOffset }, i) => {
            positions[i].offset = nextOffset;
            if (records.length > 0) found = true;
            for (const each of records) {
              const name = nameOf(each.headers.source, each);
              assert.equal(each.headers.number, seen.get(name) ?? 0, `the next record of ${name}`);
              seen.set(name, each.headers.number + 1);
            }
          });
        }
        assert.deepEqual(new Map([...seen].sort()), new Map([...written].sort()));
      };
      const writers = Promise.all([1, 2, 3, 4, 5, 6].map(write)).finally(() => {
        writing = false;
      });
      await Promise.all([writers, read(log, 1_000), read(other, 3), read(other, 50)]);
    });
  });

  check('one look over several partitions never shows an effect without its cause', async (log, namespace) => {
    await again(namespace, async (other) => {
      const cause = { topic: 'facts.a', partition: 1 };
      const effect = { topic: 'facts.b', partition: 3 };
      // A log that looked at one partition after the other would be caught between the first and the last of many.
      const others = ['facts.a', 'facts.b', 'derived'].flatMap((name) => [0, 2].map((partition) => ({ topic: name, partition })));
      const count = 150;
      let between = 0;
      const look = async (requests: TopicPartition[]) => {
        const positions = requests.map((at) => ({ at, offset: 0 }));
        const seen = new Map([cause, effect].map((at) => [at.topic, 0]));
        while (seen.get(effect.topic)! < count) {
          for (const [i, { records, nextOffset }] of (await other.readMany(positions, ALL)).entries()) {
            positions[i].offset = nextOffset;
            if (requests[i] === cause || requests[i] === effect) seen.set(requests[i].topic, seen.get(requests[i].topic)! + records.length);
          }
          const [causes, effects] = [seen.get(cause.topic)!, seen.get(effect.topic)!];
          assert.ok(causes >= effects, `${effects} effects, but ${causes} causes`);
          if (causes > 0 && causes < count) between++;
        }
      };
      const write = async () => {
        for (let i = 0; i < count; i++) {
          await log.append([numbered('cause', i, cause)]);
          await log.append([numbered('effect', i, effect)]);
        }
      };
      await Promise.all([write(), look([cause, ...others, effect]), look([effect, ...others, cause])]);
      assert.ok(between > 0, 'some looks came while the writer was at work');
    });
  });

  check('what one look shows of an append, the next look shows the rest of', async (log, namespace) => {
    await again(namespace, async (other) => {
      const [one, two] = [
        { topic: 'facts.a', partition: 3 },
        { topic: 'facts.b', partition: 3 },
      ];
      const count = 200;
      const write = async () => {
        for (let i = 0; i < count; i++) await log.append([numbered('both', i, one), numbered('both', i, two)]);
      };
      let between = 0;
      const look = async (first: TopicPartition, second: TopicPartition, together: boolean) => {
        const positions = [first, second].map((at) => ({ at, offset: 0 }));
        const seen = [-1, -1];
        while (seen[1] < count - 1) {
          const asked = together ? [[0, 1]] : [[0], [1]];
          for (const numbers of asked) {
            const results = await other.readMany(
              numbers.map((i) => positions[i]),
              ALL,
            );
            results.forEach(({ records, nextOffset }, j) => {
              positions[numbers[j]].offset = nextOffset;
              seen[numbers[j]] = records.at(-1)?.headers.number ?? seen[numbers[j]];
            });
          }
          assert.ok(together ? seen[1] === seen[0] : seen[1] >= seen[0], `${seen}`);
          if (seen[0] >= 0 && seen[0] < count - 1) between++;
        }
      };
      await Promise.all([write(), look(one, two, true), look(two, one, true), look(one, two, false), look(two, one, false)]);
      assert.ok(between > 0, 'some looks came while the writer was at work');
    });
  });

  check('a chain of appends across partitions is seen from its beginning, without a gap in any look', async (log, namespace) => {
    await again(namespace, async (other) => {
      const places = ['facts.a', 'facts.b'].flatMap((name) => [0, 1, 2, 3].map((partition) => ({ topic: name, partition })));
      const count = 240;
      const pick = random(17);
      const write = async () => {
        // Each append begins when the one before has ended, whichever process it was.
        for (let i = 0; i < count; i++) await (i % 2 === 0 ? log : other).append([numbered('chain', i, places[pick(places.length)])]);
      };
      let looks = 0;
      const look = async (reader: EventLog, requests: TopicPartition[]) => {
        const positions = requests.map((at) => ({ at, offset: 0 }));
        const seen = new Set<number>();
        while (seen.size < count) {
          (await reader.readMany(positions, ALL)).forEach(({ records, nextOffset }, i) => {
            positions[i].offset = nextOffset;
            for (const { headers } of records) seen.add(headers.number);
          });
          assert.equal(seen.size, Math.max(-1, ...seen) + 1, 'all that came before the latest is seen');
          if (seen.size > 0 && seen.size < count) looks++;
        }
      };
      await Promise.all([write(), look(log, places), look(other, [...places].reverse())]);
      assert.ok(looks > 0, 'some looks came while the chain grew');
    });
  });

  check('ten that open a new namespace at once all find it whole', async () => {
    const fresh = factory.namespace();
    await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        again(fresh, async (log) => {
          assert.deepEqual((await log.endOffsets('facts.a')).length, 4);
          await log.append([numbered(`opener-${i}`, 0, { topic: 'narrow' })]);
        }),
      ),
    );
    await again(fresh, async (log) => assert.equal((await readAll(log, { topic: 'narrow', partition: 0 })).length, 10));
  });
}

export function redelivery(check: Check, again: Again): void {
  const at = { topic: 'narrow', partition: 0 };

  check('what a source has delivered before is invisible, in the same call, in later ones, in other processes', async (log, namespace) => {
    const of = (source: string, ...numbers: number[]) => numbers.map((number) => numbered(source, number, at));
    assert.deepEqual(await log.append(of('a', 1, 2, 2, 3, 1)), { appended: 3, redelivered: 2 });
    assert.deepEqual(await log.append(of('a', 1, 2, 3)), { appended: 0, redelivered: 3 });
    assert.deepEqual(await log.append(of('a', 2, 3, 4, 7)), { appended: 2, redelivered: 2 });
    assert.deepEqual(await log.append([...of('b', 2, 3), ...of('a', 4, 9), ...of('b', 3, 4)]), { appended: 4, redelivered: 2 });
    await again(namespace, async (other) => {
      assert.deepEqual(await other.append([...of('a', 7, 9, 10), ...of('b', 4), ...of('c', 0)]), { appended: 2, redelivered: 3 });
    });
    assert.deepEqual(await log.append([...of('c', 0), ...of('a', 10)]), { appended: 0, redelivered: 2 });
    assert.deepEqual(
      (await readAll(log, at)).map(({ headers }) => `${headers.source}${headers.number}`),
      ['a1', 'a2', 'a3', 'a4', 'a7', 'b2', 'b3', 'a9', 'b4', 'a10', 'c0'],
    );
  });

  check('numbers count by partition; records without a number are never held for redelivered', async (log) => {
    const one = numbered('s', 5, { topic: 'facts.a', partition: 0 });
    const two = numbered('s', 5, { topic: 'facts.a', partition: 1 });
    const three = numbered('s', 5, { topic: 'facts.b', partition: 0 });
    assert.deepEqual(await log.append([one]), { appended: 1, redelivered: 0 });
    assert.deepEqual(await log.append([one, two, three]), { appended: 2, redelivered: 1 });
    const derived = record({ topic: 'narrow', headers: { source: 's', id: 'same' } });
    assert.deepEqual(await log.append([derived, derived]), { appended: 2, redelivered: 0 });
    assert.deepEqual(await log.append([derived, two]), { appended: 1, redelivered: 1 });
    assert.equal((await readAll(log, { topic: 'narrow', partition: 0 })).length, 3);
  });

  check('an import that is broken off and begun again is in the log once', async (log, namespace) => {
    const pick = random(11);
    const lines = Array.from({ length: 400 }, (_, i) => numbered('file', i, { topic: 'facts.a', key: `site-${i % 7}` }));
    for (let attempt = 0; attempt < 6; attempt++) {
      const until = attempt === 5 ? lines.length : pick(lines.length);
      await again(namespace, async (importer) => {
        for (let from = 0; from < until; from += 37) await importer.append(lines.slice(from, Math.min(until, from + 37)));
      });
    }
    for (let partition = 0; partition < 4; partition++) {
      const expected = lines.filter(({ key }) => partitionOf(key, 4) === partition).map(({ headers }) => headers.number);
      assert.deepEqual(
        (await readAll(log, { topic: 'facts.a', partition })).map(({ headers }) => headers.number),
        expected,
      );
    }
  });
}

export function keeping(check: Check): void {
  check('compaction keeps the latest of each key at its offset', async (log) => {
    const pick = random(3);
    const at = { topic: 'things.latest', partition: 1 };
    for (let i = 0; i < 20; i++)
      await log.append(
        Array.from({ length: 1 + pick(12) }, (_, j) => record({ ...at, key: `key-${pick(25)}`, value: Buffer.from(`${i}.${j}`) })),
      );
    await log.append([record({ topic: 'things.latest', partition: 0, key: 'alone' })]);
    const before = await readAll(log, at);
    const end = await log.endOffsets('things.latest');
    const latest = new Map(before.map(({ key, offset }) => [key, offset]));
    assert.ok(latest.size < before.length);
    // A broker compacts when it rolls its segments, so further records are appended until it has.
    let after = before;
    for (let round = 0; after.some(({ key, offset }) => offset < latest.get(key)!); round++) {
      if (round > 0) await log.append([record({ ...at, key: 'filler' })]);
      await log.compact('things.latest');
      after = (await readAll(log, at)).filter(({ key }) => key !== 'filler');
      const still = new Map(after.map((each) => [each.offset, each]));
      for (const offset of latest.values()) assert.ok(still.has(offset), 'the latest record of each key stays in its place');
      assert.ok(after.every((each, i) => i === 0 || each.offset > after[i - 1].offset));
      for (const each of after)
        assert.deepEqual(
          each,
          before.find(({ offset }) => offset === each.offset),
        );
    }
    assert.ok((await log.endOffsets('things.latest'))[1] >= end[1]);
    for (const { offset } of before) {
      const { records } = await log.read(at, offset, { maxRecords: 1, maxBytes: 1 });
      const next = after.find((each) => each.offset >= offset);
      if (next) assert.deepEqual(records, [next], `from ${offset} on the next record that is left`);
    }
    assert.equal((await readAll(log, { topic: 'things.latest', partition: 0 })).length, 1);
    const update = record({ ...at, key: 'key-1', value: Buffer.from('new') });
    await log.append([update]);
    assert.equal(textOf((await readAll(log, at)).filter(({ key }) => key === 'key-1').at(-1)!), 'new');
  });

  check('retention drops what was appended before a time, and nothing else', async (log) => {
    const at = { topic: 'short', partition: 1 };
    await log.append([numbered('s', 1, at), numbered('s', 2, at)]);
    const borderMs = await appendLater(log, at, (await readAll(log, at))[1].appendedMs);
    await log.append([numbered('s', 3, at)]);
    const before = await readAll(log, at);
    const end = await log.endOffsets('short');
    await log.retain('short', borderMs);
    const kept = before.filter(({ appendedMs }) => appendedMs >= borderMs);
    assert.ok(kept.length < before.length);
    assert.deepEqual(await readAll(log, at), kept);
    assert.deepEqual(await log.endOffsets('short'), end, 'offsets go on');
    assert.deepEqual(await log.append([numbered('s', 2, at)]), { appended: 0, redelivered: 1 }, 'what was dropped is still known');
    await log.retain('short', kept.at(-1)!.appendedMs + 1);
    assert.deepEqual(await readAll(log, at), []);
    assert.deepEqual(await log.read(at, 0, ALL), { records: [], nextOffset: end[1] });
    await log.append([numbered('s', 4, at)]);
    assert.deepEqual(await texts(log, at), ['4']);
  });
}
