/** Readings of several points in one run of bytes are what plain arrays of them are, also in an instance fed by changes only. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HotReadings, type Insertion } from '../../../processors/resampler/hot-readings.ts';
import { CELLS, COUNT, MARKS, MAX_RECENT, PointColumns, recentOfMarks, WIDE } from '../../../processors/resampler/point-columns.ts';
import { appendRecent, lastMark, lastValue, OFFSET_LIMIT, UnpackedReadings } from '../../../processors/resampler/reading-bytes.ts';
import { HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import { StateReader, StateWriter } from '../../../streams/state-bytes.ts';

const SEED = 20260114;
const T0 = Date.UTC(2026, 0, 14);
const POINTS = 4;
const DAY_MS = 24 * HOUR_MS;

interface Reading {
  startMs: number;
  value: number;
  mark: number;
}

/** Most readings of a point, and what all their starts are multiples of. */
interface Bounds {
  limit: number;
  unitMs: number;
}

/** What readings of a point are, without regard to bytes. Those more than 2^32 units before the newest are let go. */
class PlainReadings {
  all: Reading[] = [];
  private readonly limit: number;
  private readonly spanMs: number;

  constructor({ limit, unitMs }: Bounds) {
    this.limit = limit;
    this.spanMs = OFFSET_LIMIT * unitMs;
  }

  get lastMs(): number {
    return this.all.at(-1)?.startMs ?? Number.NEGATIVE_INFINITY;
  }

  firstAtOrAfter(timeMs: number): number {
    const found = this.all.findIndex(({ startMs }) => startMs >= timeMs);
    return found < 0 ? this.all.length : found;
  }

  insert(reading: Reading): Insertion {
    const { startMs } = reading;
    const at = this.firstAtOrAfter(startMs);
    if (at === this.all.length) {
      this.all = this.all.filter((earlier) => startMs - earlier.startMs <= this.spanMs);
      if (this.all.length >= this.limit) return 'full';
      this.all.push(reading);
      return 'appended';
    }
    const there = this.all[at];
    if (there.startMs === startMs) {
      if (there.value === reading.value && there.mark === reading.mark) return 'same';
      this.all[at] = reading;
      return 'conflict';
    }
    if (this.lastMs - startMs > this.spanMs || this.all.length >= this.limit) return 'full';
    this.all.splice(at, 0, reading);
    return 'inserted';
  }
}

/** Some points that share columns. */
class Points {
  readonly columns = new PointColumns();
  readonly hot: HotReadings[] = [];
  readonly rows: number[] = [];
  private readonly bounds: Bounds;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    for (let point = 0; point < POINTS; point++) this.add(point);
  }

  add(point: number): void {
    this.rows[point] = this.columns.add();
    this.hot[point] = new HotReadings(this.bounds.limit, this.bounds.unitMs, this.columns, this.rows[point]);
  }

  again(point: number): void {
    this.columns.release(this.rows[point]);
    this.add(point);
  }

  cell(point: number, cell: number): number {
    return this.columns.cells[this.rows[point] * CELLS + cell];
  }
}

function feed(from: Points, to: Points, everything: boolean): void {
  const out = new StateWriter();
  for (const hot of from.hot) hot.encodeChanges(out, everything);
  const changes = new StateReader(out.finish());
  for (const hot of from.hot) hot.markCommitted();
  for (const hot of to.hot) {
    hot.applyChanges(changes);
    hot.markCommitted();
  }
  assert.ok(changes.done);
}

/** Without a look at any byte, as looking moves recent readings. */
function assertAtHand(points: Points, plain: readonly PlainReadings[]): void {
  for (const [point, { all, lastMs }] of plain.entries()) {
    const row = points.rows[point];
    assert.equal(points.hot[point].count, all.length);
    assert.equal(points.hot[point].lastStartMs, lastMs);
    if (all.length === 0) continue;
    assert.equal(lastValue(points.columns, row), all.at(-1)!.value);
    assert.equal(lastMark(points.columns, row), all.at(-1)!.mark);
  }
}

const unpacked = new UnpackedReadings();

function assertPoint(hot: HotReadings, plain: PlainReadings, timesMs: readonly number[]): void {
  const { all } = plain;
  assert.equal(hot.count, all.length);
  const found = all.map((_, i) => ({ startMs: hot.startMs(i), value: hot.value(i), mark: hot.mark(i) }));
  assert.deepEqual(found, all);
  assert.deepEqual(
    all.map((_, i) => (hot.device(i) << 2) | hot.quality(i)),
    all.map(({ mark }) => mark),
  );
  for (const timeMs of [...timesMs, plain.lastMs]) assert.equal(hot.firstAtOrAfter(timeMs), plain.firstAtOrAfter(timeMs), `${timeMs}`);
  const from = all.length >> 1;
  hot.unpackUntil(from, timesMs[0], unpacked);
  const until = all.slice(from, Math.max(from, plain.firstAtOrAfter(timesMs[0])) + 1);
  assert.equal(unpacked.count, until.length);
  assert.deepEqual(
    until.map((_, i) => ({ startMs: unpacked.startMs(i), value: unpacked.value(i), mark: unpacked.marks[i] })),
    until,
  );
}

type Operation =
  | { do: 'append'; point: number; count: number; gapMs: number; value: number; mark: number; recently: boolean }
  | { do: 'insert' | 'again' | 'same'; point: number; where: number; offMs: number; value: number; mark: number }
  | { do: 'drop'; point: number; part: number }
  | { do: 'release' | 'look'; point: number; where: number }
  | { do: 'feed'; everything: boolean }
  | { do: 'restart' | 'swap' };

const point = fc.nat({ max: POINTS - 1 });
const mark = fc.nat({ max: 255 });
const where = fc.nat({ max: 1_000 });
/** Values that a float of 32 bits holds, and those that it does not. */
const narrow = fc.constantFrom(0, -0, 230.5, -17, 2 ** 24, 3.4028234663852886e38);
const anyValue = fc.oneof({ weight: 6, arbitrary: narrow }, { weight: 1, arbitrary: fc.constantFrom(0.1, 2 ** 24 + 1, 1e300) });
const gap = fc.constantFrom(1_000, MINUTE_MS, MINUTE_MS);
const anyGap = fc.oneof(
  { weight: 12, arbitrary: gap },
  {
    weight: 1,
    arbitrary: fc.constantFrom(1, 999, HOUR_MS, 2 ** 16 * 1_000, 19 * HOUR_MS, 40 * DAY_MS, 50 * DAY_MS, OFFSET_LIMIT, OFFSET_LIMIT + 1),
  },
);
const anyOff = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 1_000, -1_000, -HOUR_MS) },
  { weight: 1, arbitrary: fc.constantFrom(1, -1, -20 * HOUR_MS, -49 * DAY_MS, -50 * DAY_MS) },
);

const operations = (gapMs: fc.Arbitrary<number>, offMs: fc.Arbitrary<number>, value: fc.Arbitrary<number>): fc.Arbitrary<Operation> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        point,
        count: fc.integer({ min: 1, max: 20 }),
        gapMs,
        value,
        mark,
        recently: fc.nat({ max: 3 }).map((n) => n > 0),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constantFrom('insert' as const, 'again' as const, 'same' as const), point, where, offMs, value, mark }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), point, part: fc.constantFrom(0, 0.1, 0.5, 1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), point, where }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const), point, where }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('feed' as const), everything: fc.nat({ max: 5 }).map((n) => n === 0) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'swap' as const) }) },
  );

/** One with the plain arrays, another that is fed by its changes. */
class Pair {
  first: Points;
  second: Points;
  plain: PlainReadings[];
  seen = { wide: 0, narrow: 0, manyRecent: 0, full: 0, again: 0, moved: 0 };
  private readonly bounds: Bounds;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    this.first = new Points(bounds);
    this.second = new Points(bounds);
    this.plain = Array.from({ length: POINTS }, () => new PlainReadings(bounds));
  }

  /** With so many readings to begin with: room grows by an eighth, so that many come before there is none. */
  begin(count: number): void {
    for (let point = 0; point < POINTS; point++)
      this.append({ do: 'append', point, count, gapMs: MINUTE_MS, value: 230.5, mark: point, recently: false });
  }

  take(operation: Operation): void {
    const { bytes } = this.first.columns;
    if (operation.do === 'append') this.append(operation);
    else if (operation.do === 'insert' || operation.do === 'again' || operation.do === 'same') this.insert(operation);
    else if (operation.do === 'drop') this.drop(operation.point, operation.part);
    else if (operation.do === 'release') this.release(operation.point);
    else if (operation.do === 'look') this.look(operation.point, operation.where);
    else this.pass(operation);
    if (bytes !== this.first.columns.bytes && bytes.byteLength > 0) this.seen.moved++;
    for (let point = 0; point < POINTS; point++) if (recentOfMarks(this.first.cell(point, MARKS)) === MAX_RECENT) this.seen.manyRecent++;
    assertAtHand(this.first, this.plain);
  }

  /** `recently`: as one that comes alone, among the recent ones where it fits. */
  private put(point: number, reading: Reading, recently = false): void {
    const { startMs, value, mark } = reading;
    const { columns, rows, hot } = this.first;
    const recent =
      recently && this.bounds.unitMs === 1 && startMs > hot[point].lastStartMs && appendRecent(columns, rows[point], startMs, value, mark);
    const said = recent ? 'appended' : hot[point].insert(startMs, value, mark);
    assert.equal(said, this.plain[point].insert(reading));
    if (said === 'full') this.seen.full++;
  }

  private append({ point, count, gapMs, value, mark, recently }: Operation & { do: 'append' }): void {
    for (let i = 0; i < count; i++) {
      const { lastMs } = this.plain[point];
      const startMs = Number.isFinite(lastMs) ? lastMs + gapMs : T0 + point * this.bounds.unitMs;
      this.put(point, { startMs, value: i % 2 === 0 ? value : i, mark: (mark + i) & 0xff }, recently);
    }
  }

  private insert({ do: how, point, where, offMs, value, mark }: Operation & { do: 'insert' | 'again' | 'same' }): void {
    const { all } = this.plain[point];
    if (all.length === 0) return;
    const near = all[where % all.length];
    if (how === 'same') return this.put(point, { ...near });
    this.put(point, { startMs: near.startMs + (how === 'insert' ? offMs : 0), value, mark });
  }

  private drop(point: number, part: number): void {
    const plain = this.plain[point];
    const count = Math.floor(plain.all.length * part);
    this.first.hot[point].dropBefore(count);
    plain.all = plain.all.slice(count);
  }

  /** The second one hears of what is gone as well: a point that comes back has nothing of the former one. */
  private release(point: number): void {
    this.seen.again++;
    this.first.again(point);
    this.second.again(point);
    this.plain[point] = new PlainReadings(this.bounds);
  }

  private look(point: number, where: number): void {
    const { all } = this.plain[point];
    const nearMs = all.length === 0 ? T0 : all[where % all.length].startMs;
    assertPoint(this.first.hot[point], this.plain[point], [nearMs, nearMs + 1, nearMs - 1, nearMs - HOUR_MS, nearMs + 70_000_000]);
    const wide = (this.first.cell(point, MARKS) & WIDE) !== 0;
    this.seen[wide ? 'wide' : 'narrow']++;
    assert.equal(this.first.cell(point, COUNT), all.length);
  }

  private pass(operation: Operation): void {
    if (operation.do === 'feed' && !operation.everything) return feed(this.first, this.second, false);
    if (operation.do === 'swap') {
      feed(this.first, this.second, false);
      [this.first, this.second] = [this.second, this.first];
      return;
    }
    if (operation.do === 'restart') this.second = new Points(this.bounds);
    feed(this.first, this.second, true);
  }

  end(): void {
    feed(this.first, this.second, false);
    for (const points of [this.second, this.first])
      for (const [point, plain] of this.plain.entries()) assertPoint(points.hot[point], plain, [plain.lastMs - HOUR_MS, T0]);
  }
}

function checked(operation: fc.Arbitrary<Operation>, limits: readonly number[], numRuns: number, unitMs = 1): Pair['seen'] {
  const seen = { wide: 0, narrow: 0, manyRecent: 0, full: 0, again: 0, moved: 0 };
  fc.assert(
    fc.property(
      fc.constantFrom(...limits),
      fc.constantFrom(0, 100),
      fc.array(operation, { minLength: 1, maxLength: 60, size: 'max' }),
      (limit, begun, given) => {
        const pair = new Pair({ limit, unitMs });
        pair.begin(begun);
        for (const each of given) pair.take(each);
        pair.end();
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += pair.seen[key];
      },
    ),
    { seed: SEED, numRuns },
  );
  return seen;
}

describe('readings of points that share their bytes', () => {
  it('are those of plain arrays as long as all of them are narrow', () => {
    const seen = checked(operations(gap, fc.constantFrom(0, 1_000, -1_000, -7 * MINUTE_MS), narrow), [9, 24_576], 80);
    assert.equal(seen.wide, 0);
    assert.ok(Math.min(seen.narrow, seen.manyRecent, seen.full, seen.again, seen.moved) > 20, JSON.stringify(seen));
  });

  it('are those of plain arrays, whatever times and values come', () => {
    const seen = checked(operations(anyGap, anyOff, anyValue), [9, 50, 24_576], 160);
    assert.ok(Math.min(...Object.values(seen)) > 20, JSON.stringify(seen));
  });

  it('are those of plain arrays in whole seconds, months apart', () => {
    const spans = fc.constantFrom(17 * HOUR_MS, 60 * DAY_MS, 1_000 * DAY_MS, OFFSET_LIMIT * 1_000, (OFFSET_LIMIT + 1) * 1_000);
    const far = fc.oneof({ weight: 12, arbitrary: gap }, { weight: 1, arbitrary: spans });
    const seen = checked(operations(far, fc.constantFrom(0, 1_000, -1_000, -HOUR_MS, -60 * DAY_MS), anyValue), [9, 24_576], 50, 1_000);
    assert.ok(Math.min(seen.wide, seen.narrow, seen.full, seen.again, seen.moved) > 20, JSON.stringify(seen));
  });

  it('have their places to themselves, however many points come and go', () => {
    const columns = new PointColumns();
    const rows = Array.from({ length: 100 }, () => columns.add());
    const hot = rows.map((row) => new HotReadings(undefined, 1, columns, row));
    for (let minute = 0; minute < 30; minute++)
      for (const [i, readings] of hot.entries()) assert.equal(readings.append(T0 + minute * MINUTE_MS, 1000 * i + minute, i), true);
    for (let i = 0; i < 100; i += 3) columns.release(rows[i]);
    const used = columns.count;
    for (let i = 0; i < 100; i += 3) hot[i] = new HotReadings(undefined, 1, columns, (rows[i] = columns.add()));
    assert.equal(columns.count, used);
    assert.equal(new Set(rows).size, 100);
    for (let minute = 30; minute < 45; minute++)
      for (const [i, readings] of hot.entries()) {
        const reading = [T0 + minute * MINUTE_MS, 1000 * i + minute, i] as const;
        if (!appendRecent(columns, rows[i], ...reading)) readings.append(...reading);
      }
    // More points come while there are recent readings.
    for (let more = 0; more < 300; more++) columns.add();
    for (const [i, readings] of hot.entries()) {
      const fromMinute = i % 3 === 0 ? 30 : 0;
      assert.equal(readings.count, 45 - fromMinute);
      for (let at = 0; at < readings.count; at++) {
        assert.equal(readings.startMs(at), T0 + (fromMinute + at) * MINUTE_MS);
        assert.equal(readings.value(at), 1000 * i + fromMinute + at);
        assert.equal(readings.mark(at), i);
      }
    }
  });

  it('give their bytes to others once their point is gone', () => {
    const columns = new PointColumns();
    let most = 0;
    for (let again = 0; again < 30; again++) {
      const rows = Array.from({ length: 10 }, () => columns.add());
      const hot = rows.map((row) => new HotReadings(undefined, 1, columns, row));
      for (let minute = 0; minute < 200; minute++) for (const readings of hot) readings.append(T0 + minute * MINUTE_MS, minute, 0);
      for (const row of rows) columns.release(row);
      if (again === 1) most = columns.bytes.byteLength;
    }
    assert.ok(columns.count === 10 && columns.bytes.byteLength <= most * 1.2, `${columns.bytes.byteLength} bytes after ${most}`);
    // The others stay away: what they had is not carried along.
    const alone = new HotReadings(undefined, 1, columns, columns.add());
    for (let minute = 0; minute < 300; minute++) alone.append(T0 + minute * MINUTE_MS, minute, 0);
    assert.ok(columns.bytes.byteLength < 8_000, `${columns.bytes.byteLength} bytes`);
  });

  it('take no more bytes than they need, an eighth for growth and what one point has grown by', () => {
    const columns = new PointColumns();
    const hot = Array.from({ length: 20 }, () => new HotReadings(undefined, 1, columns, columns.add()));
    for (let minute = 0; minute < 600; minute++) {
      for (const readings of hot) {
        readings.append(T0 + minute * MINUTE_MS, minute, 0);
        if (minute % 60 === 0 && minute >= 240) readings.dropBefore(60);
      }
    }
    // At most 240 and those of an hour at a time, seven bytes each.
    const needed = 20 * 300 * 1.125 * 7;
    assert.ok(columns.bytes.byteLength <= needed * 1.125 + 2 * 300 * 7, `${columns.bytes.byteLength} bytes for ${needed}`);
  });
});
