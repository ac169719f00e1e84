/** The trailing summary to the watt: quantiles worked out by hand on its scale of a quarter of an octave a bin. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TrailingSummary } from '../../../processors/resampler/trailing-summary.ts';
import { DAY_MS, HOUR_MS } from '../../../streams/limits.ts';
import { StateReader, StateWriter } from '../../../streams/state-bytes.ts';

const T0 = Date.UTC(2026, 0, 14);

/** Takes in so many hours of a mean; they vary, so that none is stuck. */
function add(summary: TrailingSummary, hours: number, mean: number): void {
  for (let i = 0; i < hours; i++) summary.add(T0, mean, mean - 1, mean + 1, 4);
}

function restored(summary: TrailingSummary): TrailingSummary {
  const out = new StateWriter();
  summary.encode(out);
  const again = new TrailingSummary();
  again.decode(new StateReader(out.finish()));
  return again;
}

describe('an outlier', () => {
  it('lies above the median and three times the interquartile range', () => {
    const summary = new TrailingSummary();
    add(summary, 84, 64);
    add(summary, 84, 256);
    // 64 W lies in the bin from 64 to 76.1 W, 256 W in that from 256 to 304.4 W. Quartiles, half way through the bins:
    // 2^(24.5/4) = 69.8 and 2^(32.5/4) = 279.2; median 2^(25/4) = 76.1; 76.1 + 3 × (279.2 − 69.8) = 704.3 W.
    assert.deepEqual(
      [700, 704, 705].map((mean) => summary.isOutlier(mean)),
      [false, false, true],
    );
    assert.ok(restored(summary).isOutlier(705));
  });

  it('lies more than an octave above the upper quartile, however narrow the range', () => {
    const summary = new TrailingSummary();
    add(summary, 168, 64);
    // The range alone would say 88 W: 69.8 + 3 × (72.9 − 66.8). Five bins above that of 72.9 W begin at 2^(29/4) = 152.2 W.
    assert.deepEqual(
      [90, 129, 152, 153].map((mean) => summary.isOutlier(mean)),
      [false, false, false, true],
    );
  });

  it('is not called before a week has been seen', () => {
    const summary = new TrailingSummary();
    add(summary, 167, 64);
    assert.equal(summary.isOutlier(10_000), false);
    add(summary, 1, 64);
    assert.equal(summary.isOutlier(10_000), true);
  });

  it('is measured by what was lately: after sixty days the old fades by half', () => {
    const summary = new TrailingSummary();
    add(summary, 1440, 64);
    // 720 of the 1,440 hours are left, so that 240 hours of the new level (and not 480) make up its upper quarter.
    add(summary, 235, 1024);
    assert.equal(summary.isOutlier(2_900), true);
    add(summary, 10, 1024);
    // 71.9 + 3 × (1026.7 − 67.8) = 2948.6 W
    assert.deepEqual(
      [2_948, 2_949].map((mean) => summary.isOutlier(mean)),
      [false, true],
    );
    assert.deepEqual(
      [2_948, 2_949].map((mean) => restored(summary).isOutlier(mean)),
      [false, true],
    );
  });
});

describe('a stuck value', () => {
  it('has not moved for 24 hours across at least two readings', () => {
    const flat = (readingsOfHour: (hour: number) => number, hours: number) => {
      const summary = new TrailingSummary();
      for (let hour = 0; hour < hours; hour++) summary.add(T0 + hour * HOUR_MS, 50, 50, 50, readingsOfHour(hour));
      return restored(summary).isStuck(T0 + hours * HOUR_MS);
    };
    assert.equal(
      flat(() => 1, 23),
      false,
    );
    assert.equal(
      flat(() => 1, 24),
      true,
    );
    // Two readings, hours apart; and one alone, which is a value that is spread or held.
    assert.equal(
      flat((hour) => (hour % 12 === 0 ? 1 : 0), 24),
      true,
    );
    assert.equal(
      flat((hour) => (hour === 0 ? 1 : 0), 24),
      false,
    );
    assert.equal(
      flat((hour) => (hour === 0 ? 1 : 0), 96),
      false,
    );
    assert.equal(
      flat((hour) => (hour % 24 === 0 ? 1 : 0), 25),
      true,
    );
  });

  it('begins anew with each other value', () => {
    const summary = new TrailingSummary();
    for (let day = 0; day < 5; day++)
      for (let hour = 0; hour < 24; hour++) {
        const startMs = T0 + day * DAY_MS + hour * HOUR_MS;
        summary.add(startMs, 50 + day, 50 + day, 50 + day, hour === 0 ? 1 : 0);
        assert.equal(summary.isStuck(startMs + HOUR_MS), false);
      }
  });

  it('was stuck in the stretch that ended last, for windows that are revised after its end', () => {
    const summary = new TrailingSummary();
    const stuckAt = (hours: number) => restored(summary).isStuck(T0 + hours * HOUR_MS);
    for (let hour = 0; hour < 30; hour++) summary.add(T0 + hour * HOUR_MS, 50, 50, 50, 4);
    for (let hour = 30; hour < 34; hour++) summary.add(T0 + hour * HOUR_MS, hour, hour - 1, hour + 1, 4);
    assert.deepEqual([23, 24, 30, 31, 34].map(stuckAt), [false, true, true, false, false]);
  });
});
