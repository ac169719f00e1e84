import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import { startOfLocalDayMs, utcOffsetMs } from '../../streams/time.ts';

const ms = (text: string) => Date.parse(text);

test('offsets of zones, before and after changes of clocks', () => {
  assert.equal(utcOffsetMs('Europe/Copenhagen', ms('2026-03-29T00:59:59Z')), HOUR_MS);
  assert.equal(utcOffsetMs('Europe/Copenhagen', ms('2026-03-29T01:00:00Z')), 2 * HOUR_MS);
  assert.equal(utcOffsetMs('Europe/Lisbon', ms('2026-07-01T00:00:00Z')), HOUR_MS);
  assert.equal(utcOffsetMs('Asia/Kathmandu', ms('2026-01-01T00:00:00Z')), 5.75 * HOUR_MS);
  assert.equal(utcOffsetMs('America/St_Johns', ms('2026-01-01T00:00:00Z')), -3.5 * HOUR_MS);
  assert.throws(() => utcOffsetMs('Europe/Nowhere', 0), RangeError);
});

test('local days of 23, 24 and 25 hours, and one whose midnight does not exist', () => {
  const lengthOf = (zone: string, noon: string) =>
    (startOfLocalDayMs(zone, ms(noon) + DAY_MS) - startOfLocalDayMs(zone, ms(noon))) / HOUR_MS;
  assert.equal(startOfLocalDayMs('Europe/Copenhagen', ms('2026-03-29T10:00:00Z')), ms('2026-03-28T23:00:00Z'));
  assert.equal(lengthOf('Europe/Copenhagen', '2026-03-29T10:00:00Z'), 23);
  assert.equal(lengthOf('Europe/Copenhagen', '2026-03-30T10:00:00Z'), 24);
  assert.equal(lengthOf('Europe/Copenhagen', '2026-10-25T10:00:00Z'), 25);
  // Brazil's clocks went from 23:59:59 to 01:00:00, so that day began at one.
  assert.equal(startOfLocalDayMs('America/Sao_Paulo', ms('2018-11-04T12:00:00Z')), ms('2018-11-04T03:00:00Z'));
  assert.equal(lengthOf('America/Sao_Paulo', '2018-11-04T12:00:00Z'), 23);
});

test('every instant lies in its local day, and all instants of a day have the same start', () => {
  const zones = ['UTC', 'Europe/Copenhagen', 'Europe/London', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Cairo'];
  fc.assert(
    fc.property(fc.constantFrom(...zones), fc.integer({ min: ms('2000-01-01'), max: ms('2030-01-01') }), (zone, atMs) => {
      const startMs = startOfLocalDayMs(zone, atMs);
      assert.ok(startMs <= atMs && atMs - startMs < 25 * HOUR_MS + 1);
      assert.equal(startOfLocalDayMs(zone, startMs), startMs);
      const dayOf = (instantMs: number) => Math.floor((instantMs + utcOffsetMs(zone, instantMs)) / DAY_MS);
      assert.equal(dayOf(startMs), dayOf(atMs));
      assert.equal(dayOf(startMs - 1), dayOf(atMs) - 1);
    }),
    { seed: 1, numRuns: 2_000 },
  );
});
