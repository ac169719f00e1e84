import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clockLead, runClock, ticksAt } from '../../../streams/adapters/clock.ts';
import type { EventLog } from '../../../streams/event-log.ts';
import {
  CLOCK_CATCH_UP_MS,
  CLOCK_TICK_MS,
  DAY_MS,
  HOUR_MS,
  MAX_CLOCK_LEAD_MS,
  MAX_IMPORT_LEAD_MS,
  MINUTE_MS,
  PARTITION_COUNT,
} from '../../../streams/limits.ts';
import { openPostgresLog } from '../../../streams/postgres-log.ts';
import { openRegistry } from '../../../streams/schema-registry.ts';
import { openTestEngine } from '../../engine.ts';
import { testCodec } from '../probe.ts';

const engine = await openTestEngine();
const NOON_MS = Date.UTC(2026, 0, 15, 12);

/** Stream times of the ticks of a partition. */
async function ticksOf(log: EventLog, partition: number): Promise<number[]> {
  const { records } = await log.read({ topic: 'ticks', partition }, 0, { maxRecords: 10_000, maxBytes: 1_000_000 });
  return records.map(({ headers }) => headers.knownAtMs);
}

const gapsOf = (ticks: readonly number[]): number[] => ticks.slice(1).map((tickMs, i) => tickMs - ticks[i]);

describe('the clock', () => {
  it('gives every partition the latest whole tick, once', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const codec = await openRegistry(engine.url, namespace);
    try {
      assert.deepEqual(await log.append(ticksAt(codec, NOON_MS + 12_345)), { appended: PARTITION_COUNT, redelivered: 0 });
      assert.deepEqual(await log.append(ticksAt(codec, NOON_MS + CLOCK_TICK_MS - 1)), { appended: 0, redelivered: PARTITION_COUNT });
      // A clock that was set back does not turn stream time back.
      assert.deepEqual(await log.append(ticksAt(codec, NOON_MS - 5 * CLOCK_TICK_MS)), { appended: 0, redelivered: PARTITION_COUNT });
      assert.deepEqual(await log.append(ticksAt(codec, NOON_MS + 7 * CLOCK_TICK_MS)), { appended: PARTITION_COUNT, redelivered: 0 });
      for (let partition = 0; partition < PARTITION_COUNT; partition++) {
        const { records } = await log.read({ topic: 'ticks', partition }, 0, { maxRecords: 10, maxBytes: 10_000 });
        const known = records.map(({ value }) => codec.decodeAs('Tick', value));
        assert.deepEqual(known, [{ knownAtMs: NOON_MS }, { knownAtMs: NOON_MS + 7 * CLOCK_TICK_MS }]);
      }
    } finally {
      await log.close();
    }
  });

  it('ticks at once and stops when told', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const codec = await openRegistry(engine.url, namespace);
    const stopping = new AbortController();
    try {
      const ticking = runClock({ log, codec, nowMs: () => NOON_MS + 1, warn: assert.fail, signal: stopping.signal });
      while ((await log.endOffsets('ticks')).some((end) => end === 0)) await log.waitForAppend(1_000);
      stopping.abort();
      await ticking;
      const { records } = await log.read({ topic: 'ticks', partition: 3 }, 0, { maxRecords: 10, maxBytes: 10_000 });
      assert.deepEqual(
        records.map(({ headers }) => headers.knownAtMs),
        [NOON_MS],
      );
    } finally {
      await log.close();
    }
  });

  it('makes up for a stop and for a sleep hour by hour, so that no tick closes days at once', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const codec = await openRegistry(engine.url, namespace);
    try {
      await log.append(ticksAt(codec, NOON_MS + 30 * MINUTE_MS));
      // It was stopped for five days; then the machine sleeps for three more within one look at its clock.
      const wokenMs = NOON_MS + 8 * DAY_MS + 20 * MINUTE_MS;
      const looks = [NOON_MS + 5 * DAY_MS + 10 * MINUTE_MS, NOON_MS + 5 * DAY_MS + 11 * MINUTE_MS - 5, wokenMs];
      const stopping = new AbortController();
      const nowMs = () => {
        if (looks.length === 0) stopping.abort();
        return looks.shift() ?? wokenMs;
      };
      await runClock({ log, codec, nowMs, warn: () => {}, signal: stopping.signal });
      for (const partition of [0, 11]) {
        const ticks = await ticksOf(log, partition);
        assert.equal(ticks.at(-1), wokenMs);
        assert.ok(Math.min(...gapsOf(ticks)) > 0 && Math.max(...gapsOf(ticks)) <= HOUR_MS);
        assert.equal(ticks.length, 1 + 8 * 24 + 2);
      }
    } finally {
      await log.close();
    }
  });

  it('tells of a long step, and that time is ahead once it was set back, but goes on', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const codec = await openRegistry(engine.url, namespace);
    /** Runs until the clock has been looked at so often; the loop looks twice for each tick. */
    const toldAt = async (...looks: number[]): Promise<string[]> => {
      const stopping = new AbortController();
      const told: string[] = [];
      const last = looks.at(-1)!;
      const nowMs = () => {
        if (looks.length === 0) stopping.abort();
        return looks.shift() ?? last;
      };
      await runClock({ log, codec, nowMs, warn: (text) => told.push(text), signal: stopping.signal });
      return told;
    };
    const tickEndMs = CLOCK_TICK_MS - 1;
    try {
      // The first tick of all is no step, and neither is a day that the machine was off.
      assert.deepEqual(await toldAt(NOON_MS), []);
      assert.deepEqual(await toldAt(NOON_MS + DAY_MS), []);
      assert.deepEqual(await clockLead(log, NOON_MS + DAY_MS), { nowMs: NOON_MS + DAY_MS, aheadMs: 0, isWrong: false });
      const wrongMs = NOON_MS + 731 * DAY_MS;
      assert.match(
        (await toldAt(wrongMs)).join(),
        /^The clock steps 730 days, from the latest tick \(2026-01-16T12:00Z\) to 2028-01-16T12:00Z\./,
      );
      const rightMs = NOON_MS + 2 * DAY_MS;
      assert.deepEqual(await clockLead(log, rightMs), { nowMs: rightMs, aheadMs: 729 * DAY_MS, isWrong: true });
      const ends = await log.endOffsets('ticks');
      // Two looks at its ticks, and it is told once.
      const told = await toldAt(rightMs, rightMs + tickEndMs, rightMs + CLOCK_TICK_MS);
      assert.match(told.join('|'), /^The latest tick is of 2028-01-16T12:00Z, 729 days ahead of the clock \(2026-01-17T12:00Z\)[^|]*$/);
      assert.deepEqual(await log.endOffsets('ticks'), ends);
      assert.equal((await clockLead(log, wrongMs - MAX_CLOCK_LEAD_MS)).isWrong, false);
      assert.equal((await clockLead(log, wrongMs - MAX_CLOCK_LEAD_MS - 1)).isWrong, true);
    } finally {
      await log.close();
    }
  });

  it('takes the ticks of an import for right that wait for late deliveries', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const codec = await openRegistry(engine.url, namespace);
    try {
      assert.deepEqual(await clockLead(log, NOON_MS), { nowMs: NOON_MS, aheadMs: 0, isWrong: false });
      const [tick] = ticksAt(codec, NOON_MS);
      await log.append([{ ...tick, headers: { ...tick.headers, source: 'import' } }]);
      assert.deepEqual(await clockLead(log, NOON_MS - DAY_MS), { nowMs: NOON_MS - DAY_MS, aheadMs: DAY_MS, isWrong: false });
      assert.equal((await clockLead(log, NOON_MS - MAX_IMPORT_LEAD_MS - 1)).isWrong, true);
    } finally {
      await log.close();
    }
  });

  it('makes up for each partition from its own latest tick, and for no longer than anything can be due', () => {
    const codec = testCodec();
    const ticks = ticksAt(codec, NOON_MS, [NOON_MS - 3 * HOUR_MS + 1, NOON_MS - 10 * 365 * DAY_MS, NOON_MS - MINUTE_MS, NOON_MS + HOUR_MS]);
    const of = (partition: number) => ticks.filter((tick) => tick.partition === partition).map(({ headers }) => headers.knownAtMs);
    assert.deepEqual(of(0), [NOON_MS - 2 * HOUR_MS, NOON_MS - HOUR_MS, NOON_MS]);
    assert.equal(of(1).length, CLOCK_CATCH_UP_MS / HOUR_MS);
    assert.equal(of(1).at(-1), NOON_MS);
    for (const partition of [2, 3, 4]) assert.deepEqual(of(partition), [NOON_MS]);
    const known = ticks.map(({ headers }) => headers.knownAtMs);
    assert.deepEqual(
      known,
      known.toSorted((a, b) => a - b),
    );
    assert.ok(ticks.every(({ headers }) => headers.number * CLOCK_TICK_MS === headers.knownAtMs));
  });
});
