import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runClock, ticksAt } from '../../../streams/adapters/clock.ts';
import { CLOCK_TICK_MS, PARTITION_COUNT } from '../../../streams/limits.ts';
import { openPostgresLog } from '../../../streams/postgres-log.ts';
import { openRegistry } from '../../../streams/schema-registry.ts';
import { openTestEngine } from '../../engine.ts';

const engine = await openTestEngine();
const NOON_MS = Date.UTC(2026, 0, 15, 12);

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
});
