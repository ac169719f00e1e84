/** Series, forecasts and lists over HTTP, on known data that went through the real pipeline. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { feed } from '../../replay/facts.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { A1, B1, CORRECTED, delivery, energyOfA1, energyOfB1, openFixture } from './fixture.ts';

const fixture = await openFixture();
const { get } = fixture;
const SERIES_A1 = '/v1/sites/site-a1/points/grid/series';
const SERIES_B1 = '/v1/sites/site-b1/points/grid/series';

interface Window {
  start: string;
  end: string;
  mean: number | null;
  energy: number | null;
  completeness: number;
  quality: string;
  revision: number;
  reason: string;
}

async function json(url: string, headers: Record<string, string> = {}) {
  const answer = await get(url, headers);
  assert.equal(answer.statusCode, 200, `${url}: ${answer.body}`);
  return answer.json();
}

/** Follows nextCursor to the end. */
async function allPages(url: string, from = ''): Promise<Window[]> {
  const rows: Window[] = [];
  for (let cursor: string | null = from; cursor !== null; ) {
    const page = await json(cursor === '' ? url : `${url}&cursor=${cursor}`);
    rows.push(...page.rows);
    cursor = page.nextCursor;
  }
  return rows;
}

const milliWh = (kWh: number | null) => Math.round(kWh! * 1e6);
const hoursOf = ({ start, end }: Window) => (Date.parse(end) - Date.parse(start)) / HOUR_MS;

/** Sum of the fixture's energies between two instants, computed apart from the pipeline. */
function sum(
  energyOf: (startMs: number) => number,
  data: { fromMs: number; toMs: number },
  stepMs: number,
  from: string,
  to: string,
): number {
  let total = 0;
  for (let startMs = Math.max(data.fromMs, Date.parse(from)); startMs < Math.min(data.toMs, Date.parse(to)); startMs += stepMs)
    total += energyOf(startMs);
  return total;
}

describe('series', () => {
  it('give every hour its energy and mean power, and add up to the same at every resolution', async () => {
    const hours = (await json(`${SERIES_A1}?resolution=60m&from=2025-10-24T00:00:00Z&to=2025-10-28T00:00:00Z&tz=UTC`)).rows as Window[];
    assert.equal(hours.length, 96);
    for (const hour of hours) {
      assert.equal(milliWh(hour.energy), energyOfA1(Date.parse(hour.start)), hour.start);
      assert.ok(Math.abs(hour.mean! - energyOfA1(Date.parse(hour.start)) / 1000) < 1e-9);
      assert.equal(hour.completeness, 1);
    }
    const total = hours.reduce((all, { energy }) => all + milliWh(energy), 0);
    for (const resolution of ['5m', '15m', 'day']) {
      const rows = (
        await json(`${SERIES_A1}?resolution=${resolution}&from=2025-10-24T00:00:00Z&to=2025-10-28T00:00:00Z&tz=UTC&limit=10000`)
      ).rows as Window[];
      assert.equal(
        rows.reduce((all, { energy }) => all + milliWh(energy), 0),
        total,
        resolution,
      );
    }
  });

  it('sum local days of 24 and 25 hours exactly', async () => {
    const { rows, timeZone } = await json(`${SERIES_A1}?resolution=day&from=2025-10-24&to=2025-10-28`);
    assert.equal(timeZone, 'Europe/Helsinki');
    assert.deepEqual(
      rows.map(({ start }: Window) => start),
      ['2025-10-24T00:00:00+03:00', '2025-10-25T00:00:00+03:00', '2025-10-26T00:00:00+03:00', '2025-10-27T00:00:00+02:00'],
    );
    assert.deepEqual(rows.map(hoursOf), [24, 24, 25, 24]);
    for (const row of rows as Window[]) assert.equal(milliWh(row.energy), sum(energyOfA1, A1, HOUR_MS, row.start, row.end), row.start);
    // The data begin at 00:00 UTC, three hours into the local day.
    assert.deepEqual(
      rows.map((row: Window) => row.completeness),
      [21 / 24, 1, 1, 1],
    );
  });

  it('sum local days of 23 and of 23.5 hours exactly', async () => {
    for (const [tz, lengths] of [
      ['Australia/Sydney', [24, 23, 24]],
      ['Australia/Lord_Howe', [24, 23.5, 24]],
    ] as const) {
      const { rows } = await json(`${SERIES_B1}?resolution=day&from=2025-10-04&to=2025-10-07&tz=${tz}`);
      assert.deepEqual(rows.map(hoursOf), lengths, tz);
      for (const row of rows as Window[])
        assert.equal(milliWh(row.energy), sum(energyOfB1, B1, 15 * MINUTE_MS, row.start, row.end), row.start);
    }
  });

  it('sum weeks and months of the zone exactly', async () => {
    const month = (await json(`${SERIES_A1}?resolution=month&from=2025-10-01&to=2025-11-01`)).rows;
    assert.deepEqual(month.map(hoursOf), [31 * 24 + 1]);
    assert.equal(milliWh(month[0].energy), sum(energyOfA1, A1, HOUR_MS, month[0].start, month[0].end));
    const weeks = (await json(`${SERIES_A1}?resolution=week&from=2025-10-20&to=2025-11-03`)).rows;
    assert.deepEqual(weeks.map(hoursOf), [169, 168]);
    for (const week of weeks) assert.equal(milliWh(week.energy), sum(energyOfA1, A1, HOUR_MS, week.start, week.end));
  });

  it('show a correction, and as known before it what was known then', async () => {
    const at = `resolution=60m&from=2025-10-25T06:00:00Z&to=2025-10-25T07:00:00Z&tz=UTC`;
    const [now] = (await json(`${SERIES_A1}?${at}`)).rows;
    assert.deepEqual([milliWh(now.energy), now.revision, now.reason], [CORRECTED.later, 1, 'corrected']);
    const [before] = (await json(`${SERIES_A1}?${at}&asOf=2025-10-25T09:00:00Z`)).rows;
    assert.deepEqual([milliWh(before.energy), before.revision, before.reason], [CORRECTED.first, 0, 'first']);
    assert.deepEqual((await json(`${SERIES_A1}?${at}&asOf=2025-10-25T06:30:00Z`)).rows, [], 'the hour had not ended');
    const days = async (asOf: string) => (await json(`${SERIES_A1}?resolution=day&from=2025-10-25&to=2025-10-26&asOf=${asOf}`)).rows[0];
    const afterwards = await days('2025-10-28T00:00:00Z');
    assert.equal(milliWh(afterwards.energy), sum(energyOfA1, A1, HOUR_MS, '2025-10-24T21:00:00Z', '2025-10-25T21:00:00Z'));
    const early = await days('2025-10-25T09:00:00Z');
    const known = sum(energyOfA1, A1, HOUR_MS, '2025-10-24T21:00:00Z', '2025-10-25T09:00:00Z') - CORRECTED.later + CORRECTED.first;
    assert.ok([known, known - energyOfA1(Date.parse('2025-10-25T08:00:00Z'))].includes(milliWh(early.energy)));
  });

  it('come in the unit that is asked for', async () => {
    const at = 'resolution=60m&from=2025-10-24T00:00:00Z&to=2025-10-24T01:00:00Z';
    const [plain] = (await json(`${SERIES_A1}?${at}`)).rows;
    const other = await json(`${SERIES_A1}?${at}&unit=kW,Wh`);
    assert.deepEqual(other.units, { value: 'kW', energy: 'Wh' });
    assert.equal(other.rows[0].mean, plain.mean / 1000);
    assert.equal(other.rows[0].energy, energyOfA1(A1.fromMs) / 1000);
    assert.equal((await json(`${SERIES_A1}?${at}&unit=MWh`)).rows[0].energy, energyOfA1(A1.fromMs) / 1e9);
    const room = await json(`/v1/sites/site-a1/points/room/series?${at}&unit=degF`);
    assert.deepEqual(room.units, { value: 'degF', energy: null });
    assert.deepEqual([room.rows[0].mean, room.rows[0].energy], [68.9, null]);
    for (const unit of ['degC', 'kw', 'kW,', ''])
      assert.equal((await get(`${SERIES_A1}?${at}&unit=${unit}`)).json().code, 'UNIT_UNKNOWN', unit);
  });

  it('leave out what is worse than the quality or completeness that is asked for', async () => {
    const at = 'resolution=day&from=2025-10-24&to=2025-10-28';
    assert.equal((await json(`${SERIES_A1}?${at}&completeness=1`)).rows.length, 3);
    assert.equal((await json(`${SERIES_A1}?${at}&completeness=0.8`)).rows.length, 4);
    const hours = 'resolution=60m&from=2025-10-24T00:00:00Z&to=2025-10-24T12:00:00Z';
    const all = (await json(`/v1/sites/site-a2/points/grid/series?${hours}`)).rows as Window[];
    const missing = all.filter(({ quality }) => quality === 'missing');
    assert.ok(missing.length > 0);
    for (const row of missing) assert.deepEqual([row.mean, row.energy, row.completeness], [null, null, 0]);
    const measured = (await json(`/v1/sites/site-a2/points/grid/series?${hours}&quality=measured`)).rows as Window[];
    assert.deepEqual(
      measured,
      all.filter(({ quality }) => quality === 'measured'),
    );
  });

  it('show what is latest where no times are given', async () => {
    const day = await json(SERIES_A1);
    assert.equal(Date.parse(day.to) % MINUTE_MS, 0);
    assert.equal(Date.parse(day.to) - Date.parse(day.from), 24 * HOUR_MS);
    assert.equal(day.rows.at(-1).end, day.to);
    const months = await json(`${SERIES_A1}?resolution=month`);
    assert.equal(months.rows.length, 1);
    assert.match(months.from, /-01T00:00:00/);
  });
});

describe('pages', () => {
  it('hold every row once, whatever their size', async () => {
    for (const [resolution, limit] of [
      ['5m', 500],
      ['15m', 7],
      ['60m', 95],
      ['60m', 96],
      ['day', 1],
    ] as const) {
      const url = `${SERIES_A1}?resolution=${resolution}&from=2025-10-24T00:00:00Z&to=2025-10-28T00:00:00Z&tz=UTC`;
      assert.deepEqual(await allPages(`${url}&limit=${limit}`), (await json(`${url}&limit=10000`)).rows, `${resolution} by ${limit}`);
    }
  });

  it('show the same state of knowledge while revisions arrive, and the new one afterwards', async () => {
    const url = '/v1/sites/site-b1/points/grid/series?resolution=15m&from=2025-10-06T00:00:00Z&to=2025-10-07T00:00:00Z&tz=UTC';
    const before = (await json(url)).rows as Window[];
    const first = await json(`${url}&limit=10`);
    const startMs = Date.parse('2025-10-06T22:00:00Z');
    // The last quarter of the day before has long closed; a correction comes within the hot hours of the stream.
    await revise(startMs, 987_654);
    const rest = await allPages(`${url}&limit=10`, first.nextCursor);
    assert.deepEqual([...first.rows, ...rest], before);
    const after = (await json(url)).rows as Window[];
    const changed = after.filter((row, i) => row.energy !== before[i].energy);
    assert.deepEqual(
      changed.map(({ start, energy }) => [start, milliWh(energy)]),
      [['2025-10-06T22:00:00Z', 987_654]],
    );
  });

  it('follow the Link header in CSV too', async () => {
    const url = `${SERIES_A1}?resolution=60m&from=2025-10-24T00:00:00Z&to=2025-10-28T00:00:00Z&format=csv`;
    const lines: string[] = [];
    let next: string | undefined = `${url}&limit=40`;
    while (next !== undefined) {
      const page = await get(next);
      assert.equal(page.statusCode, 200);
      lines.push(
        ...page.body
          .trimEnd()
          .split('\r\n')
          .slice(lines.length === 0 ? 0 : 1),
      );
      next = /^<(.+)>; rel="next"$/.exec(String(page.headers.link ?? ''))?.[1];
    }
    const whole = await get(`${url}&limit=10000`);
    assert.equal(`${lines.join('\r\n')}\r\n`, whole.body);
  });

  it('of sites, rejected events and notices hold every row once', async () => {
    for (const url of ['/v1/sites?', '/v1/rejected?', '/v1/notices?'])
      assert.deepEqual(await allPages(`${url}limit=1`), (await json(url)).rows, url);
  });
});

describe('representations', () => {
  const at = `${SERIES_A1}?resolution=60m&from=2025-10-24T00:00:00Z&to=2025-10-24T02:00:00Z&tz=UTC`;

  it('are CSV with units in the header where that is asked for', async () => {
    const csv = await get(at, { accept: 'text/csv' });
    assert.match(String(csv.headers['content-type']), /^text\/csv/);
    const [header, first] = csv.body.split('\r\n');
    assert.equal(
      header,
      'start,end,mean_W,min_W,max_W,last_W,energy_kWh,completeness,measured,readingCount,quality,flags,revision,reason,knownAt',
    );
    assert.match(first, /^2025-10-24T00:00:00Z,2025-10-24T01:00:00Z,100,100,100,100,0\.1,1,1,1,measured,,0,first,/);
    assert.equal((await get(`${at}&format=csv`)).body, csv.body);
  });

  it('follow Accept', async () => {
    const type = async (accept: string) => String((await get(at, { accept })).headers['content-type']).split(';')[0];
    assert.equal(await type('*/*'), 'application/json');
    assert.equal(await type('text/html,application/xhtml+xml,*/*;q=0.8'), 'application/json');
    assert.equal(await type('text/csv;q=0.9,application/json;q=0.1'), 'text/csv');
    assert.equal(await type('text/*'), 'text/csv');
    assert.equal((await get(at, { accept: 'image/png' })).json().code, 'NOT_ACCEPTABLE');
    assert.equal((await get(`${at}&format=json`, { accept: 'image/png' })).statusCode, 200);
  });

  it('quote what CSV needs quoted', async () => {
    const csv = await get('/v1/rejected?format=csv&code=POINT_UNKNOWN');
    assert.equal(csv.body.trimEnd().split('\r\n').length, 3);
  });

  it('have an entity tag, and are not sent again to those who have them', async () => {
    const first = await get(at);
    const tag = String(first.headers.etag);
    assert.match(tag, /^"[\w-]{20,}"$/);
    const again = await get(at, { 'if-none-match': tag });
    assert.deepEqual([again.statusCode, again.body, again.headers.etag], [304, '', tag]);
    assert.equal((await get(at, { 'if-none-match': `"other", W/${tag}` })).statusCode, 304);
    assert.equal((await get(at, { 'if-none-match': '"other"' })).statusCode, 200);
    assert.notEqual((await get(at, { accept: 'text/csv' })).headers.etag, tag);
    const head = await fixture.app.inject({ method: 'HEAD', url: at, headers: first.raw.req.headers as Record<string, string> });
    assert.deepEqual([head.statusCode, head.body, head.headers.etag], [200, '', tag]);
    // Nobody without a token learns whether the tag is right.
    assert.equal((await get(at, { 'if-none-match': tag }, null)).statusCode, 401);
  });
});

describe('forecasts', () => {
  const at = '/v1/sites/site-a1/points/grid/forecasts?from=2025-10-26&to=2025-10-29&limit=10000';

  it('show the latest issue of each slot, or all, by belief time', async () => {
    const all = (await json(`${at}&issues=all`)).rows as { start: string; issuedAt: string; q10: number; q50: number; q90: number }[];
    const latest = (await json(at)).rows as typeof all;
    assert.ok(latest.length > 96, `${latest.length}`);
    assert.equal(new Set(latest.map(({ start }) => start)).size, latest.length);
    for (const row of latest) {
      const issues = all.filter(({ start }) => start === row.start).map(({ issuedAt }) => issuedAt);
      assert.equal(row.issuedAt, issues.sort().at(-1));
      assert.ok(row.q10 <= row.q50 && row.q50 <= row.q90);
      assert.ok(Date.parse(row.issuedAt) <= Date.parse(row.start));
    }
    const [firstIssue, ...later] = [...new Set(all.map(({ issuedAt }) => Date.parse(issuedAt)))].sort((a, b) => a - b);
    assert.ok(later.length > 0);
    const then = (await json(`${at}&issues=all&asOf=${new Date(firstIssue).toISOString()}`)).rows as typeof all;
    assert.deepEqual(
      then,
      all.filter(({ issuedAt }) => Date.parse(issuedAt) === firstIssue),
    );
    assert.deepEqual((await json(`${at}&asOf=${new Date(firstIssue - 1).toISOString()}`)).rows, []);
  });

  it('come in pages and units', async () => {
    for (const issues of ['latest', 'all']) {
      const url = `/v1/sites/site-a1/points/grid/forecasts?from=2025-10-26&to=2025-10-29&issues=${issues}`;
      assert.deepEqual(await allPages(`${url}&limit=50`), (await json(`${url}&limit=10000`)).rows, issues);
    }
    const [watt] = (await json(at)).rows;
    const [kilowatt] = (await json(`${at}&unit=kW`)).rows;
    assert.equal(kilowatt.q50, watt.q50 / 1000);
  });
});

describe('what was set aside', () => {
  it('is listed newest first, by site, code and time', async () => {
    const { rows } = await json('/v1/rejected');
    assert.deepEqual(
      rows.map(({ siteId, code, readingCount }: Record<string, unknown>) => [siteId, code, readingCount]),
      [
        ['nowhere', 'SITE_UNKNOWN', 1],
        ['site-a2', 'POINT_UNKNOWN', 1],
        ['site-a1', 'POINT_UNKNOWN', 2],
      ],
    );
    assert.equal((await json('/v1/rejected?site=site-a1')).rows.length, 1);
    assert.equal((await json('/v1/rejected?code=POINT_UNKNOWN')).rows.length, 2);
    assert.equal((await json(`/v1/rejected?from=${rows[1].knownAt}`)).rows.length, 2);
    assert.equal((await json(`/v1/rejected?to=${rows[1].knownAt}`)).rows.length, 1);
    const one = await json(`/v1/rejected/${rows[2].partition}/${rows[2].offset}`);
    assert.equal(Buffer.from(one.bytesBase64, 'base64').length, one.byteLength);
    assert.equal((await get('/v1/rejected/11/999999')).statusCode, 404);
  });

  it('has notices of doubles and conflicts', async () => {
    const kinds = (await json('/v1/notices?site=site-a1')).rows.map(({ kind }: { kind: string }) => kind);
    assert.deepEqual([...new Set(kinds)].sort(), ['CONFLICT', 'DOUBLE']);
    assert.equal(
      (await json('/v1/notices?site=site-a1&kind=CONFLICT')).rows[0].start,
      new Date(CORRECTED.startMs).toISOString().replace('.000', ''),
    );
    // The correction of b1 is older than the hot state: the reload of its day tells of the conflict.
    const [reloaded] = (await json('/v1/notices?site=site-b1&kind=CONFLICT')).rows;
    assert.equal(reloaded.start, '2025-10-06T22:00:00Z');
  });
});

/** Delivers one quarter of b1 again with another value, as known long after, and waits until it is projected. */
async function revise(startMs: number, energyMilliWh: number): Promise<void> {
  const { log, codec, drained } = fixture.pipeline;
  const knownAtMs = A1.toMs + 12 * HOUR_MS;
  const fact = {
    ...delivery('site-b1', knownAtMs, { pointId: 'grid', startMs: [startMs], energyMilliWh: [energyMilliWh] }),
    source: 'correction',
  };
  await feed({
    log,
    codec,
    facts: [fact],
    tickMs: 15 * MINUTE_MS,
    tickSource: 'fixture',
    speed: Number.POSITIVE_INFINITY,
    settleMs: 8 * HOUR_MS,
  });
  await drained();
}
