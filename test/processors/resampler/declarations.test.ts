/** What may be declared: what memory can hold, and nothing that changes the meaning of what is in the log. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { declarationProblem, pointProblem } from '../../../processors/resampler/declaration.ts';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared, SiteDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_POINTS_EVER, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { live, pointOf, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14, 10);
const SECOND_MS = 1_000;

const rigOf = (...points: PointDeclared[]) => new SiteRig({ processors: [resampler as Processor], points });
const everyMinute = (more: Partial<PointDeclared> = {}) => pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS, ...more });

describe('spacing and delay', () => {
  const problem = (kind: PointDeclared['kind'], more: Partial<PointDeclared>) => pointProblem(pointOf('p', kind, more));

  it('that need more readings in memory than there is room for are refused', () => {
    // Six hours and the delay: 24,576 readings, one a second.
    const most = { intervalMs: SECOND_MS, deliveryDelayMs: (24_576 - 6 * 3_600) * SECOND_MS };
    assert.equal(problem('INSTANT_POWER', most), undefined);
    assert.match(problem('INSTANT_POWER', { ...most, deliveryDelayMs: most.deliveryDelayMs + 1 })!, /24577 readings.*at most 24576/);
    assert.match(problem('MEAN_POWER', most)!, /readings/);
    assert.match(problem('STATE', { intervalMs: 1 })!, /readings/);
    assert.equal(problem('MEAN_POWER', { intervalMs: MINUTE_MS, deliveryDelayMs: 16 * DAY_MS }), undefined);
    assert.match(problem('MEAN_POWER', { intervalMs: MINUTE_MS, deliveryDelayMs: 17 * DAY_MS })!, /readings/);
    const rig = rigOf(pointOf('p', 'STATE', { intervalMs: 1 }));
    assert.deepEqual(
      rig.rejected.map(({ code }) => code),
      ['EVENT_INVALID'],
    );
    assert.match(rig.rejected[0].reason, /The point p: .*readings/);
  });

  it('that are just taken lose no reading', () => {
    const spacingMs = 2 * SECOND_MS;
    const deliveryDelayMs = 24_576 * spacingMs - 6 * HOUR_MS;
    const point = pointOf('p', 'INSTANT_POWER', { intervalMs: spacingMs, maxHoldMs: spacingMs, deliveryDelayMs });
    assert.equal(pointProblem(point), undefined);
    const rig = rigOf(point);
    for (let fromMs = T0; fromMs < T0 + 16 * HOUR_MS; fromMs += FIVE) {
      rig.deliver(
        'p',
        Array.from({ length: FIVE / spacingMs }, (_, i) => ({ startMs: fromMs + i * spacingMs, value: 36 })),
        fromMs + FIVE,
      );
      rig.tick(fromMs + FIVE);
    }
    assert.deepEqual(rig.rejected, []);
    assert.deepEqual(rig.requests, []);
  });

  it('that reach further back than times in memory can are refused', () => {
    const reach = { intervalMs: 24 * DAY_MS, deliveryDelayMs: 24 * DAY_MS };
    assert.equal(problem('REGISTER', reach), undefined);
    assert.match(problem('REGISTER', { ...reach, deliveryDelayMs: 25 * DAY_MS })!, /49 days/);
    assert.match(problem('INTERVAL_ENERGY', reach)!, /49 days/);
    assert.equal(problem('INSTANT_POWER', { ...reach, deliveryDelayMs: 31 * DAY_MS }), undefined);
  });

  it('are at most 24 and 31 days', () => {
    for (const kind of ['MEAN_POWER', 'REGISTER', 'STATE'] as const) {
      assert.equal(problem(kind, { intervalMs: 24 * DAY_MS, maxHoldMs: 24 * DAY_MS }), undefined);
      assert.match(problem(kind, { intervalMs: 24 * DAY_MS + 1 })!, /intervalMs 2073600001 is not within 1 to 2073600000/);
    }
    assert.match(problem('STATE', { maxHoldMs: 24 * DAY_MS + 1 })!, /maxHoldMs/);
    assert.match(problem('STATE', { deliveryDelayMs: 31 * DAY_MS + 1 })!, /deliveryDelayMs/);
  });
});

describe('a point that was removed and forgotten', () => {
  /** Two hours of readings, removed, and a day of ticks in which its memory goes. */
  const forgotten = () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + 2 * HOUR_MS, () => 60);
    rig.declare([], T0 + 2 * HOUR_MS);
    rig.tickThrough(T0 + 2 * HOUR_MS + FIVE, T0 + DAY_MS, FIVE);
    return rig;
  };
  const codes = (rig: SiteRig) => rig.rejected.map(({ code }) => code);
  const restart = (rig: SiteRig) => rig.drive.applyState(rig.drive.encodeState(true));

  it('does not come back as another kind or length of interval, also after a restart', () => {
    for (const restarted of [false, true]) {
      const rig = forgotten();
      if (restarted) restart(rig);
      rig.declare([pointOf('p', 'REGISTER')], T0 + DAY_MS);
      rig.declare([everyMinute({ intervalMs: FIVE })], T0 + DAY_MS);
      assert.deepEqual(codes(rig), ['EVENT_INVALID', 'EVENT_INVALID']);
      assert.match(rig.rejected[0].reason, /of kind MEAN_POWER for ever/);
      rig.declare([everyMinute(), pointOf('another', 'REGISTER')], T0 + DAY_MS);
      assert.equal(codes(rig).length, 2);
      live(rig, T0 + DAY_MS, T0 + DAY_MS + HOUR_MS + FIVE, () => 60);
      assert.equal(rig.energyMilliWh('p', HOUR_MS), 3 * 60_000);
    }
  });

  it('tells that with the delta in which it was forgotten', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + 2 * HOUR_MS, () => 60);
    rig.declare([], T0 + 2 * HOUR_MS);
    const whole = rig.drive.encodeState(true);
    rig.drive.markCommitted();
    rig.tickThrough(T0 + 2 * HOUR_MS + FIVE, T0 + DAY_MS, FIVE);
    const delta = rig.drive.encodeState(false);
    const later = rig.drive.encodeState(true);
    rig.drive.applyState(whole);
    rig.drive.applyState(delta);
    assert.deepEqual(rig.drive.encodeState(true), later);
    rig.declare([pointOf('p', 'REGISTER')], T0 + DAY_MS);
    assert.deepEqual(codes(rig), ['EVENT_INVALID']);
  });

  it('comes back with its past: what is late for it revises, whatever delay it has now', () => {
    const rig = forgotten();
    restart(rig);
    rig.declare([everyMinute({ deliveryDelayMs: 5 * DAY_MS })], T0 + DAY_MS);
    rig.deliver('p', [{ startMs: T0, value: 360 }], T0 + DAY_MS);
    rig.tickThrough(T0 + DAY_MS, T0 + DAY_MS + HOUR_MS, FIVE);
    const history = rig.emitted.filter(({ widthMs, startMs }) => widthMs === FIVE && startMs === T0);
    assert.deepEqual(
      history.map(({ revision, energyMilliWh }) => [revision, energyMilliWh]),
      [
        [0, 5_000],
        [1, 10_000],
      ],
    );
    assert.equal(rig.requests.length, 1);
  });

  it('that never had a window may come back as anything', () => {
    const rig = rigOf(everyMinute());
    rig.tick(T0);
    rig.declare([], T0);
    rig.tickThrough(T0 + FIVE, T0 + DAY_MS, HOUR_MS);
    rig.declare([pointOf('p', 'REGISTER')], T0 + DAY_MS);
    assert.deepEqual(codes(rig), []);
  });

  it('counts: a site has so many different points in all', () => {
    const site = resampler.initialState('site');
    const { kind, intervalMs } = everyMinute();
    for (let i = 0; i < MAX_POINTS_EVER - 1; i++) site.retired.set(`old-${i}`, { kind, intervalMs, completeFromMs: T0 });
    const declared = (...pointIds: string[]) =>
      declarationProblem(site, { timeZone: 'UTC', points: pointIds.map((pointId) => ({ ...everyMinute(), pointId })) } as SiteDeclared);
    assert.equal(declared('new'), undefined);
    assert.equal(declared('new', 'old-1', 'old-2'), undefined);
    assert.match(declared('new', 'newer')!, /different points/);
  });
});
