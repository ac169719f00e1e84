/** Windows of a register, laid from a run of readings at once, are those of its pairs looked at one by one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HotReadings } from '../../../processors/resampler/hot-readings.ts';
import { computeWindows, type PointRules, registerChange } from '../../../processors/resampler/segments.ts';
import { QUALITY_ESTIMATED, QUALITY_MISSING, WindowScratch } from '../../../processors/resampler/window-scratch.ts';
import { DAY_MS, HOUR_MS, MAX_INTERVAL_MILLI_WH, MAX_REGISTER_GAP_MS, MINUTE_MS } from '../../../streams/limits.ts';

const SEED = 20260305;
const T0 = Date.UTC(2026, 2, 5);
const often = <T>(usual: T, ...others: T[]) => fc.oneof({ weight: 20, arbitrary: fc.constant(usual) }, fc.constantFrom(usual, ...others));

interface Step {
  stepMs: number;
  rise: number;
  quality: number;
  device: number;
}

const steps = fc.array(
  fc.record<Step>({
    stepMs: often(MINUTE_MS, 1, 20 * MINUTE_MS, 21 * MINUTE_MS, 3 * HOUR_MS, MAX_REGISTER_GAP_MS, MAX_REGISTER_GAP_MS + 1),
    rise: often(50, 0, 1, -1, -10, -11, -40, -900, 900, MAX_INTERVAL_MILLI_WH, MAX_INTERVAL_MILLI_WH + 1),
    quality: often(0, 1, 3),
    device: often(0, 1),
  }),
  { minLength: 1, maxLength: 120, size: 'max' },
);
const rules = fc.record<PointRules>({
  kind: fc.constant('REGISTER'),
  intervalMs: fc.constantFrom(MINUTE_MS, 10 * MINUTE_MS, 20 * DAY_MS),
  maxHoldMs: fc.constant(0),
  deliveryDelayMs: fc.constant(0),
  registerModulusMilliWh: fc.constantFrom(null, 2_000),
  registerJitterMilliWh: fc.constantFrom(0, 10, 40),
});

/** What the windows are by definition: each pair of neighbours by itself. */
function byPairs(hot: HotReadings, given: PointRules, fromMs: number, toMs: number): WindowScratch {
  const out = new WindowScratch();
  out.begin(fromMs, toMs);
  out.empty();
  for (let i = 0; i < hot.count; i++) {
    out.count(hot.startMs(i));
    if (i === 0) continue;
    const [startMs, endMs] = [hot.startMs(i - 1), hot.startMs(i)];
    const { kind, energyMilliWh } = registerChange(hot, i, given);
    if (kind === 'SWAP' || kind === 'GAP') continue;
    const spread = kind === 'RESET' || endMs - startMs > 2 * Math.max(given.intervalMs, 5 * MINUTE_MS);
    const quality = Math.max(hot.quality(i - 1), hot.quality(i), spread ? QUALITY_ESTIMATED : 0);
    if (quality < QUALITY_MISSING) out.addEnergy(startMs, endMs, energyMilliWh, quality);
  }
  out.finishEnergy();
  return out;
}

describe('windows of a register', () => {
  it('are those of its pairs, whatever came before and between', () => {
    let plain = 0;
    const holds = fc.property(steps, rules, fc.nat({ max: 20 }), (given, point, fromStep) => {
      const hot = new HotReadings();
      let startMs = T0;
      let value = 5_000;
      for (const { stepMs, rise, quality, device } of given) {
        startMs += stepMs;
        value = Math.max(0, value + rise);
        hot.insert(startMs, value, (device << 2) | quality);
      }
      const fromMs = T0 + fromStep * 5 * MINUTE_MS;
      const toMs = fromMs + 2 * HOUR_MS;
      const out = new WindowScratch();
      computeWindows(hot, point, fromMs, toMs, out);
      const expected = byPairs(hot, point, fromMs, toMs);
      assert.deepEqual(out.rows.slice(0, out.steps * 9), expected.rows.slice(0, expected.steps * 9));
      plain += out.rows[0] > 0 ? 1 : 0;
    });
    fc.assert(holds, { seed: SEED, numRuns: 3_000 });
    assert.ok(plain > 500, `${plain} with energy in the first window`);
  });
});
