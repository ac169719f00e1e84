/** The whole bundled pilot: fed live, replayed twice as what-if, verified from its journals, and at other speeds. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { BUNDLED_DAYS, bundledPilot } from '../../replay/pilots/bundled.ts';
import { SLICE_START_MS } from '../../replay/pilots/household.ts';
import { DAY_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { ALL, assertEqual, assertVerified, feedNew, replayNew } from './replaying.ts';

const engine = await openTestEngine();
const MAX = Number.POSITIVE_INFINITY;

describe('the whole bundled pilot', () => {
  let source: string;
  before(async () => {
    source = await feedNew(engine, (await bundledPilot(BUNDLED_DAYS)).facts);
  });

  it('gives the same canonical bytes live, in two what-if replays, and from the journals of all three', async () => {
    const [one, other] = [await replayNew(engine, source, ALL, MAX), await replayNew(engine, source, ALL, MAX)];
    const counts = await assertEqual(engine, one.namespace, other.namespace);
    for (const [topic, count] of counts) assert.ok(count > 0, `${topic} has no events`);
    await assertEqual(engine, source, one.namespace);
    for (const namespace of [source, one.namespace, other.namespace]) await assertVerified(engine, namespace);
  });

  for (const { speed, spanMs } of [
    { speed: 60, spanMs: 30 * MINUTE_MS },
    { speed: 3600, spanMs: DAY_MS },
    { speed: 20_000, spanMs: 14 * DAY_MS },
  ])
    it(`gives the same canonical bytes at ×${speed} as at full speed`, async () => {
      const fromMs = SLICE_START_MS + 7 * DAY_MS;
      const range = { fromMs, toMs: fromMs + spanMs + 1 };
      const [fast, paced] = [await replayNew(engine, source, range, MAX), await replayNew(engine, source, range, speed)];
      const counts = await assertEqual(engine, fast.namespace, paced.namespace);
      assert.ok(counts.get('resampled.5m')! > 0);
    });
});
