import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { calendarBounds, calendarStartMs, widthOfBounds } from '../../api/calendar.ts';
import { spanOf } from '../../api/spans.ts';
import { instantOf, rendered, timeZoneOf } from '../../api/times.ts';
import { IflexError } from '../../streams/errors.ts';

const at = (text: string) => Date.parse(text);
const hours = (bounds: number[]) => bounds.slice(1).map((bound, i) => (bound - bounds[i]) / 3_600_000);
const code = (expected: string) => (error: unknown) => error instanceof IflexError && error.code === expected;

describe('times of requests', () => {
  it('are read with any offset, and a date is the start of the local day', () => {
    assert.equal(instantOf('2026-03-29T00:00:00Z', 'UTC', 'from'), at('2026-03-29T00:00:00Z'));
    assert.equal(instantOf('2026-03-29T02:30+02:00', 'UTC', 'from'), at('2026-03-29T00:30:00Z'));
    assert.equal(instantOf('2026-03-29T02:30:00.250 02:00', 'UTC', 'from'), at('2026-03-29T00:30:00.250Z'), 'a plus that was not escaped');
    assert.equal(instantOf('2026-03-29T02:30:00.250999+00:00', 'UTC', 'from'), at('2026-03-29T02:30:00.250Z'), 'as Python writes it');
    assert.equal(instantOf('2026-03-29t02:30:00z', 'UTC', 'from'), at('2026-03-29T02:30:00Z'));
    assert.equal(instantOf('2026-03-29', 'Europe/Helsinki', 'from'), at('2026-03-28T22:00:00Z'));
    assert.equal(instantOf('2026-03-30', 'Europe/Helsinki', 'from'), at('2026-03-29T21:00:00Z'));
    assert.equal(instantOf('2026-01-01', 'Pacific/Kiritimati', 'from'), at('2025-12-31T10:00:00Z'));
    assert.equal(instantOf('2026-01-01', 'Pacific/Pago_Pago', 'from'), at('2026-01-01T11:00:00Z'));
  });

  it('are refused where they do not exist, lack an offset, or lie far away', () => {
    const wrong = [
      '',
      'now',
      '2026-02-30',
      '2026-13-01',
      '2026-03-29T00:00:00',
      '2026-3-29',
      '20260329',
      '2026-03-29T25:00:00Z',
      '1970-06-01',
      '2200-01-02',
      '1774742400000',
      '+275760-09-13',
    ];
    for (const text of wrong) assert.throws(() => instantOf(text, 'UTC', 'from'), code('REQUEST_INVALID'), text);
  });

  it('reach from the first local day of 1971 to the end of 2199 in every zone', () => {
    for (const zone of ['UTC', 'Europe/Paris', 'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Etc/GMT+12'])
      for (const text of ['1971-01-01', '2199-12-31', '2200-01-01'])
        assert.ok(Number.isFinite(instantOf(text, zone, 'from')), `${text} ${zone}`);
    assert.equal(instantOf('1971-01-01', 'Europe/Paris', 'from'), at('1970-12-31T23:00:00Z'));
  });

  it('are rendered with the offset of their zone, and read back as they were', () => {
    assert.equal(rendered(at('2026-03-29T00:59:59Z'), 'Europe/Helsinki'), '2026-03-29T02:59:59+02:00');
    assert.equal(rendered(at('2026-03-29T01:00:00Z'), 'Europe/Helsinki'), '2026-03-29T04:00:00+03:00');
    assert.equal(rendered(at('2026-01-15T12:00:00.007Z'), 'America/St_Johns'), '2026-01-15T08:30:00.007-03:30');
    assert.equal(rendered(at('2026-01-15T12:00:00Z'), 'UTC'), '2026-01-15T12:00:00Z');
    assert.equal(rendered(at('2026-01-15T12:00:00Z'), 'Europe/London'), '2026-01-15T12:00:00+00:00');
    for (const zone of ['Europe/Helsinki', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC'])
      for (let ms = at('2025-10-24T00:00:00Z'); ms < at('2025-10-28T00:00:00Z'); ms += 7 * 60_000)
        assert.equal(at(rendered(ms, zone)), ms, `${zone} ${ms}`);
  });

  it('take zones by their IANA name, in one spelling', () => {
    assert.equal(timeZoneOf('europe/helsinki'), 'Europe/Helsinki');
    for (const text of ['', 'Mars/Base', 'Europe/Helsinki;', '../etc'])
      assert.throws(() => timeZoneOf(text), code('REQUEST_INVALID'), text);
  });
});

describe('spans of the calendar', () => {
  it('are days of 23, 24 and 25 hours', () => {
    assert.deepEqual(hours(calendarBounds('day', 'Europe/Helsinki', at('2026-03-27T22:00:00Z'), at('2026-03-30T21:00:00Z'))), [24, 23, 24]);
    assert.deepEqual(hours(calendarBounds('day', 'Europe/Helsinki', at('2025-10-24T21:00:00Z'), at('2025-10-27T22:00:00Z'))), [24, 25, 24]);
    assert.deepEqual(
      hours(calendarBounds('day', 'Australia/Lord_Howe', at('2025-10-03T13:30:00Z'), at('2025-10-06T13:00:00Z'))),
      [24, 23.5, 24],
    );
  });

  it('begin inside of what is asked for, and are whole', () => {
    const day = (from: string, to: string) => calendarBounds('day', 'UTC', at(from), at(to));
    assert.deepEqual(day('2026-01-01T00:00:01Z', '2026-01-03T00:00:01Z'), [
      at('2026-01-02T00:00:00Z'),
      at('2026-01-03T00:00:00Z'),
      at('2026-01-04T00:00:00Z'),
    ]);
    assert.deepEqual(day('2026-01-01T00:00:01Z', '2026-01-02T00:00:00Z'), []);
    assert.deepEqual(day('2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'), []);
  });

  it('are weeks from Monday and months, of the zone', () => {
    assert.equal(calendarStartMs('week', 'Europe/Helsinki', at('2026-03-29T20:59:00Z')), at('2026-03-22T22:00:00Z'));
    assert.equal(calendarStartMs('week', 'Europe/Helsinki', at('2026-03-29T21:00:00Z')), at('2026-03-29T21:00:00Z'));
    assert.deepEqual(hours(calendarBounds('week', 'Europe/Helsinki', at('2026-03-22T22:00:00Z'), at('2026-04-05T21:00:00Z'))), [167, 168]);
    assert.deepEqual(hours(calendarBounds('month', 'Europe/Helsinki', at('2026-01-31T22:00:00Z'), at('2026-04-30T21:00:00Z'))), [
      28 * 24,
      31 * 24 - 1,
      30 * 24,
    ]);
    assert.deepEqual(hours(calendarBounds('month', 'UTC', at('2024-02-01T00:00:00Z'), at('2024-03-01T00:00:00Z'))), [29 * 24]);
  });

  it('skip the day that a zone skipped', () => {
    // Samoa went from 29 to 31 December 2011.
    const bounds = calendarBounds('day', 'Pacific/Apia', at('2011-12-29T10:00:00Z'), at('2012-01-01T10:00:00Z'));
    assert.deepEqual(hours(bounds), [24, 24, 24]);
    assert.equal(bounds[1], at('2011-12-30T10:00:00Z'));
  });

  it('are added up from the widest windows that fit', () => {
    assert.equal(widthOfBounds([at('2026-01-01T00:00:00Z'), at('2026-01-01T23:00:00Z')]), '60m');
    assert.equal(widthOfBounds([at('2026-01-01T00:00:00Z'), at('2026-01-01T18:15:00Z')]), '15m');
    assert.equal(widthOfBounds([at('2026-01-01T00:05:00Z')]), '5m');
  });
});

describe('the span of a request', () => {
  const fill = { endOfDataMs: at('2026-01-10T00:00:00Z'), lengthMs: 86_400_000, windowMs: 3_600_000 };
  const span = (asked: { from?: string; to?: string }) => spanOf(asked, 'UTC', fill);

  it('is filled in from the data', () => {
    assert.deepEqual(span({}), { fromMs: at('2026-01-09T00:00:00Z'), toMs: at('2026-01-10T00:00:00Z') });
    assert.deepEqual(span({ to: '2026-01-05' }), { fromMs: at('2026-01-04T00:00:00Z'), toMs: at('2026-01-05T00:00:00Z') });
    assert.deepEqual(span({ from: '2026-01-05' }), { fromMs: at('2026-01-05T00:00:00Z'), toMs: at('2026-01-10T00:00:00Z') });
    assert.deepEqual(span({ from: '2026-02-05' }), { fromMs: at('2026-02-05T00:00:00Z'), toMs: at('2026-02-05T00:00:00Z') });
  });

  it('is refused the wrong way round, and too long', () => {
    assert.throws(() => span({ from: '2026-01-05', to: '2026-01-04' }), code('REQUEST_INVALID'));
    assert.throws(() => span({ from: '1980-01-01', to: '2026-01-01' }), code('SPAN_TOO_LONG'));
    assert.deepEqual(span({ from: '2026-01-05', to: '2026-01-05' }).fromMs, at('2026-01-05T00:00:00Z'));
  });
});
