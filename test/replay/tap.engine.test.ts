/** Taps of a log: every record of a topic once, in order, from any place, and as they come. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type TapOptions, tap } from '../../replay/tap.ts';
import type { EventLog, LogRecord, NewRecord } from '../../streams/event-log.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const TOPIC = 'meter.readings';

function recordsOf(from: number, count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const number = from + i;
    const headers = { source: 'test', number, type: 'ReadingsDelivery', knownAtMs: number };
    return { topic: TOPIC, key: `site-${number % 7}`, value: Buffer.from(`value ${number}`), headers };
  });
}

const numbersOf = (records: LogRecord[]) => records.map(({ headers }) => headers.number);
const sorted = (numbers: number[]) => [...numbers].sort((a, b) => a - b);

describe('a tap', () => {
  let log: EventLog;
  before(async () => {
    log = await openPostgresLog({ url: engine.url, namespace: engine.namespace() });
    for (let i = 0; i < 20; i++) await log.append(recordsOf(i * 100, 100));
  });
  after(() => log.close());

  async function collect(options: Partial<TapOptions> = {}): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    const { signal } = new AbortController();
    for await (const piece of tap({ log, topic: TOPIC, from: { offset: 0 }, to: 'end', follow: false, signal, ...options }))
      records.push(...piece);
    return records;
  }

  it('gives every record once, by appended time, and each partition by offset', async () => {
    const records = await collect();
    assert.deepEqual(
      sorted(numbersOf(records)),
      Array.from({ length: 2000 }, (_, i) => i),
    );
    const last = new Map<number, number>();
    for (const [i, { partition, offset, appendedMs }] of records.entries()) {
      assert.ok(i === 0 || records[i - 1].appendedMs <= appendedMs);
      assert.ok(offset > (last.get(partition) ?? -1));
      last.set(partition, offset);
    }
  });

  it('of a key gives that key only', async () => {
    const records = await collect({ key: 'site-3' });
    assert.equal(records.length, Math.ceil((2000 - 3) / 7));
    assert.ok(records.every(({ key, partition }) => key === 'site-3' && partition === partitionOf('site-3', 12)));
  });

  it('begins and ends at offsets', async () => {
    const records = await collect({ from: { offset: 10 }, to: { offset: 20 } });
    assert.ok(records.length > 0);
    assert.ok(records.every(({ offset }) => offset >= 10 && offset < 20));
    const partitions = new Set(records.map(({ partition }) => partition)).size;
    assert.equal(records.length, partitions * 10);
  });

  it('begins and ends at appended times, which split the log in two', async () => {
    const all = await collect();
    const atMs = all[1000].appendedMs;
    const [early, late] = [await collect({ to: { appendedMs: atMs } }), await collect({ from: { appendedMs: atMs } })];
    assert.ok(early.every(({ appendedMs }) => appendedMs < atMs) && late.every(({ appendedMs }) => appendedMs >= atMs));
    assert.equal(early.length + late.length, all.length);
    assert.deepEqual(await collect({ from: 'end' }), []);
  });

  it('that follows gives what is appended, until it is told to end', async () => {
    const ending = new AbortController();
    const followed: number[] = [];
    const following = (async () => {
      for await (const piece of tap({ log, topic: TOPIC, from: 'end', to: 'end', follow: true, signal: ending.signal })) {
        followed.push(...numbersOf(piece));
        if (followed.includes(2499)) ending.abort();
      }
    })();
    const atLeast = 2000;
    // What is appended before the tap has found the end may be missed, so the last batch comes until it was seen.
    for (let i = 0; !ending.signal.aborted; i++) {
      const numbered = recordsOf(atLeast, 500).map((record) => ({ ...record, headers: { ...record.headers, source: `round ${i}` } }));
      await log.append(numbered);
      await log.waitForAppend(5);
    }
    await following;
    assert.ok(followed.every((number) => number >= atLeast));
    assert.ok(followed.length >= 500 || followed.includes(2499));
  });
});
