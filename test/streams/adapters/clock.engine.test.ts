import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runClock, ticksAt } from '../../../streams/adapters/clock.ts';
import type { EventLog } from '../../../streams/event-log.ts';
import { CLOCK_CATCH_UP_MS, CLOCK_TICK_MS, DAY_MS, HOUR_MS, MINUTE_MS, PARTITION_COUNT } from '../../../streams/limits.ts';
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
      const ticking = runClock({ log, codec, nowMs: () => NOON_MS + 1, signal: stopping.signal });
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
      await runClock({ log, codec, nowMs, signal: stopping.signal });
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
