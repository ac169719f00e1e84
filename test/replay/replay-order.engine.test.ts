/** The order of a what-if replay: total, complete, and independent of the order in which facts were appended. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { compareFacts, knownOrder, type OrderedFact } from '../../replay/replay-order.ts';
import { randomOf } from '../../replay/simulate/random.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const logs: EventLog[] = [];
after(() => Promise.all(logs.map((log) => log.close())));

const ALL = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };
const BEGIN_MS = Date.UTC(2026, 2, 28);
/** Small, so that there are many slices and zones. */
const BOUNDS = { sliceRecords: 300, sliceBytes: 1e6, zone: { maxRecords: 20, maxBytes: 1e6 } };

async function newLog(): Promise<EventLog> {
  const log = await openPostgresLog({ url: engine.url, namespace: engine.namespace() });
  logs.push(log);
  return log;
}

/** Deliveries of one source in the order of their numbers; a clock that falls back now and then says when they are known. */
function deliveriesOf(source: string, count: number): NewRecord[] {
  const random = randomOf('order', source);
  return Array.from({ length: count }, (_, number) => {
    const hours = (40 * number) / count - (random.integer(0, 9) === 0 ? random.integer(1, 6) : 0);
    const knownAtMs = BEGIN_MS + Math.round(hours * 60) * MINUTE_MS;
    const topic = ['meter.readings', 'sensor.readings', 'sites'][random.integer(0, 2)];
    const headers = { source, number, type: 'ReadingsDelivery', knownAtMs };
    return { topic, key: `site-${random.integer(0, 4)}`, value: Buffer.from(`${source}#${number}`), headers };
  });
}

function ticks(): NewRecord[] {
  return Array.from({ length: 160 * 12 }, (_, i) => {
    const [number, partition] = [Math.floor(i / 12), i % 12];
    const headers = { source: 'clock', number, type: 'Tick', knownAtMs: BEGIN_MS + number * 15 * MINUTE_MS };
    return { topic: 'ticks', key: String(partition), partition, value: Buffer.from(`tick ${number}`), headers };
  });
}

const SOURCES = [...['a', 'b', 'c', 'd'].map((source) => deliveriesOf(source, 900)), ticks()];

/** Appends what the sources have left in turns that a seed decides; each source keeps its order. */
async function appendInterleaved(log: EventLog, seed: string): Promise<void> {
  const random = randomOf('interleaving', seed);
  const left = SOURCES.map((records) => [...records]);
  while (left.some((records) => records.length > 0)) {
    const records = left[random.integer(0, left.length - 1)];
    if (records.length > 0) await log.append(records.splice(0, random.integer(1, 200)));
  }
}

async function orderOf(log: EventLog, range = ALL): Promise<{ facts: number; ordered: OrderedFact[] }> {
  const order = await knownOrder(log, range, BOUNDS);
  const ordered: OrderedFact[] = [];
  for await (const piece of order.read()) ordered.push(...piece);
  return { facts: order.facts, ordered };
}

const shown = ({ record, orderMs }: OrderedFact) =>
  `${orderMs} ${record.topic}/${record.partition} ${record.headers.source}#${record.headers.number} ${Buffer.from(record.value)}`;

describe('the order in which facts became known', () => {
  it('holds every fact once, sorted, whatever order they were appended in', async () => {
    const [one, other] = [await newLog(), await newLog()];
    await appendInterleaved(one, 'one');
    await appendInterleaved(other, 'other');
    const { facts, ordered } = await orderOf(one);
    const all = SOURCES.flat();
    assert.equal(facts, all.length);
    assert.deepEqual(
      new Set(ordered.map(({ record }) => `${record.topic}/${record.partition} ${record.headers.source}#${record.headers.number}`)).size,
      all.length,
    );
    for (let i = 1; i < ordered.length; i++) assert.ok(compareFacts(ordered[i - 1], ordered[i]) < 0, shown(ordered[i]));
    assert.deepEqual((await orderOf(other)).ordered.map(shown), ordered.map(shown));
  });

  it('keeps the order of a source whose clock fell back, and moves nothing else', async () => {
    const log = await newLog();
    await appendInterleaved(log, 'third');
    const { ordered } = await orderOf(log);
    const latest = new Map<string, { number: number; knownAtMs: number }>();
    let moved = 0;
    for (const { record, orderMs } of ordered) {
      const { source, number, knownAtMs } = record.headers;
      const place = `${record.topic}/${record.partition} ${source}`;
      const before = latest.get(place);
      assert.ok(before === undefined || number > before.number, `${place}: ${number} comes after ${before?.number}`);
      const expectedMs = Math.max(knownAtMs, before?.knownAtMs ?? knownAtMs);
      assert.equal(orderMs, expectedMs);
      if (orderMs !== knownAtMs) moved++;
      latest.set(place, { number, knownAtMs: expectedMs });
    }
    assert.ok(moved > 50, `${moved} were moved`);
  });

  it('takes a range, with the declarations of before, and nothing that is appended later', async () => {
    const log = await newLog();
    await appendInterleaved(log, 'fourth');
    const range = { fromMs: BEGIN_MS + 10 * HOUR_MS, toMs: BEGIN_MS + 20 * HOUR_MS };
    const whole = (await orderOf(log)).ordered;
    const order = await knownOrder(log, range, BOUNDS);
    await log.append([{ ...SOURCES[0][0], headers: { ...SOURCES[0][0].headers, source: 'late', knownAtMs: range.fromMs } }]);
    const taken: OrderedFact[] = [];
    for await (const piece of order.read()) taken.push(...piece);
    const expected = whole.filter(({ record, orderMs }) => orderMs < range.toMs && (orderMs >= range.fromMs || record.topic === 'sites'));
    assert.ok(expected.some(({ orderMs }) => orderMs < range.fromMs));
    assert.deepEqual(taken.map(shown), expected.map(shown));
  });

  it('of an empty log is empty', async () => {
    assert.deepEqual(await orderOf(await newLog()), { facts: 0, ordered: [] });
  });
});
