/** Every problem that the API can answer with, brought about for real, and what it says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statusOf } from '../../api/problems.ts';
import type { Service } from '../../api/routes/service.ts';
import { buildServer } from '../../api/server.ts';
import { LAST_RENDERED_MS } from '../../api/times.ts';
import { createService } from '../../infra/metrics.ts';
import { startPipeline } from '../../infra/pipeline.ts';
import { createRejectedCounter } from '../../infra/rejected-counter.ts';
import { openApi } from '../../infra/serve-api.ts';
import { openReadPool } from '../../projections/queries/read-pool.ts';
import { countRejected, rejectedCounts } from '../../projections/queries/rejected-counts.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import { ERROR_CODES, ERRORS, type ErrorCode } from '../../streams/errors.ts';
import { MAX_NAME_CHARS, MAX_READY_LAG_MS, MAX_REQUESTS_UNDER_WAY, PARTITION_COUNT } from '../../streams/limits.ts';
import { inTransaction } from '../../streams/postgres.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openFixture, SECRET } from './fixture.ts';

const { engine, namespace, pipeline, app, access, token, get } = await openFixture();
const SERIES = '/v1/sites/site-a1/points/grid/series';
const FORECASTS = '/v1/sites/site-a1/points/grid/forecasts';
const seen = new Set<ErrorCode>();

interface Answer {
  statusCode: number;
  body: string;
  headers: Record<string, unknown>;
}

/** That the answer is a problem document of this code, whole and documented. */
async function isProblem(answer: Answer, code: ErrorCode): Promise<{ detail: string; errors?: { in: string; detail: string }[] }> {
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, answer.body);
  const problem = JSON.parse(answer.body);
  assert.equal(problem.code, code, answer.body);
  assert.deepEqual([answer.statusCode, problem.status, problem.title], [statusOf(code), statusOf(code), ERROR_CODES[code]]);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers.etag, undefined);
  const documentation = await get(problem.type, {}, null);
  assert.deepEqual(documentation.json(), { code, status: statusOf(code), ...ERRORS[code] });
  seen.add(code);
  return problem;
}

/** A server over a pool of its own. */
async function serverWith(service: Partial<Service>, statementTimeoutMs = 10_000) {
  const pool = await openReadPool(engine.url, namespace, statementTimeoutMs);
  const subjectOf = async () => ({ tokenId: 't', role: 'operator' as const, pilots: null, sites: null });
  const metrics = { contentType: 'text/plain', render: async () => '', observe: () => {} };
  const server = await buildServer({
    pool,
    subjectOf,
    service: { lags: async () => [], clockLead: async () => ({ nowMs: 0, aheadMs: 0, isWrong: false }), metrics, ...service },
    version: '0',
    logger: false,
  });
  // Begun at once: a promise of inject by itself begins when it is waited for.
  const ask = (url: string) => server.inject({ url, headers: { authorization: 'Bearer x' } }).then((answer) => answer);
  return { ask, pool, metrics, close: () => server.close().then(() => pool.end()) };
}

/** Runs work while nobody can read the sites. */
async function whileSitesAreLocked(work: () => Promise<void>): Promise<void> {
  await inTransaction(access, async (client) => {
    await client.query(`LOCK TABLE iflex_${namespace}.site IN ACCESS EXCLUSIVE MODE`);
    await work();
  });
}

describe('problems of requests', () => {
  it('name what is wrong with which parameter', async () => {
    const wrong: [string, string][] = [
      ['?resolution=1h', 'querystring.resolution'],
      ['?limit=0', 'querystring.limit'],
      ['?limit=10001', 'querystring.limit'],
      ['?limit=ten', 'querystring.limit'],
      ['?completeness=1.5', 'querystring.completeness'],
      ['?quality=best', 'querystring.quality'],
      ['?format=xml', 'querystring.format'],
      ['?from=2025-10-24&from=2025-10-25', 'querystring.from'],
      ['?form=2025-10-24', 'querystring'],
    ];
    for (const [query, where] of wrong) {
      const { errors } = await isProblem(await get(SERIES + query), 'REQUEST_INVALID');
      assert.equal(errors?.[0].in, where, query);
    }
    const { errors } = await isProblem(await get(`${SERIES}?quality=best`), 'REQUEST_INVALID');
    assert.equal(errors?.[0].detail, 'must be one of measured, estimated, substituted, missing');
    assert.match((await isProblem(await get(`${SERIES}?unit=degF`), 'UNIT_UNKNOWN')).detail, /W, kW, kWh, Wh, MWh/);
    await isProblem(await get(`${SERIES}?unit=kW,W`), 'REQUEST_INVALID');
    // A misspelt filter would look as if nothing had been set aside.
    for (const [url, known] of [
      ['/v1/rejected?code=NOPE', /SITE_UNKNOWN/],
      ['/v1/notices?kind=NOPE', /METER_SWAP/],
    ] as const)
      assert.match((await isProblem(await get(url), 'REQUEST_INVALID')).detail, known);
    for (const query of [
      '?from=yesterday',
      '?to=2025-10-24T00:00:00',
      '?asOf=2025-02-30',
      '?tz=Mars/Base',
      '?from=2025-10-25&to=2025-10-24',
    ])
      await isProblem(await get(SERIES + query), 'REQUEST_INVALID');
    for (const url of ['/v1/rejected/x/1', '/v1/rejected?from=2025-10-25&to=2025-10-24', '/health?x=1', '/%E0%A4%A'])
      await isProblem(await get(url), 'REQUEST_INVALID');
  });

  it('refuse cursors that were made up, or belong elsewhere', async () => {
    const { nextCursor } = (await get(`${SERIES}?limit=1`)).json();
    const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const [print] = JSON.parse(Buffer.from(nextCursor, 'base64url').toString());
    for (const cursor of [
      'x',
      '!!!',
      forged([]),
      forged(null),
      forged([print]),
      forged([print, [1]]),
      forged([print, ['1', '2', '3']]),
      nextCursor.slice(0, -4),
    ])
      await isProblem(await get(`${SERIES}?limit=1&cursor=${cursor}`), 'CURSOR_INVALID');
    await isProblem(await get(`${SERIES}?limit=1&resolution=5m&cursor=${nextCursor}`), 'CURSOR_INVALID');
    await isProblem(await get(`/v1/sites/site-b1/points/grid/series?limit=1&cursor=${nextCursor}`), 'CURSOR_INVALID');
    assert.equal((await get(`${SERIES}?limit=5&format=csv&cursor=${nextCursor}`)).statusCode, 200);
  });

  it('refuse cursors to places that nothing has', async () => {
    const refused = async (url: string, place: unknown) => {
      const { nextCursor } = (await get(`${url}limit=1`)).json();
      const [print, good] = JSON.parse(Buffer.from(nextCursor, 'base64url').toString());
      const places = Array.isArray(good) ? good.map((_, i) => good.with(i, place)) : [place];
      for (const forged of places) {
        const cursor = Buffer.from(JSON.stringify([print, forged]).replaceAll('"1e99"', '1e99')).toString('base64url');
        await isProblem(await get(`${url}limit=1&cursor=${cursor}`), 'CURSOR_INVALID');
      }
    };
    for (const place of ['1e99', -1e15, Number.MAX_SAFE_INTEGER + 1, -Number.MAX_SAFE_INTEGER, 0.5, 'x'])
      for (const url of [`${SERIES}?`, `${SERIES}?resolution=day&`, `${FORECASTS}?issues=all&`, '/v1/rejected?', '/v1/notices?'])
        await refused(url, place);
    for (const url of [`${SERIES}?`, `${FORECASTS}?issues=all&`]) await refused(url, 9e15);
    for (const place of ['\0', 1, null]) await refused('/v1/sites?', place);
    // Within what can be told, but outside of the span, which would be walked through day by day.
    const { nextCursor } = (await get(`${SERIES}?resolution=day&limit=1`)).json();
    const [print, [startMs, toMs]] = JSON.parse(Buffer.from(nextCursor, 'base64url').toString());
    for (const place of [
      [0, toMs, null],
      [toMs, toMs, null],
      [startMs, startMs, null],
      [startMs, LAST_RENDERED_MS, null],
    ]) {
      const cursor = Buffer.from(JSON.stringify([print, place])).toString('base64url');
      await isProblem(await get(`${SERIES}?resolution=day&limit=1&cursor=${cursor}`), 'CURSOR_INVALID');
    }
  });

  it('refuse a NUL anywhere in the address, before anybody is looked up', async () => {
    for (const url of [
      '/v1/sites/%00',
      '/v1/sites?pilot=%00',
      '/v1/rejected?site=a%00b',
      '/v1/rejected?code=%00',
      '/v1/notices?kind=%00',
      '/v1/sites/site-a1/points/%00',
      '/subjects?subject=%00',
      '/errors/%00',
      '/%00',
    ]) {
      const answer = await get(url);
      if (url.startsWith('/subjects')) assert.equal(answer.statusCode, 400);
      else await isProblem(answer, 'REQUEST_INVALID');
    }
    // Percent signs that are meant are none.
    await isProblem(await get('/v1/sites/%2500'), 'NOT_FOUND');
  });

  it('refuse numbers beyond all bounds, which no bound of a schema sees', async () => {
    for (const url of [`${SERIES}?limit=1e400`, `${SERIES}?completeness=-1e999`, '/v1/rejected/1e400/0', '/v1/rejected/0/1e400'])
      await isProblem(await get(url), 'REQUEST_INVALID');
    assert.equal((await get('/schemas/ids/1e400')).json().error_code, 40001);
  });

  it('answer texts that are no good UTF-8, and times at the limits, without failing', async () => {
    for (const text of ['%ED%A0%80', '%FF', '%EF%BF%BF', '%0A', "'", '..%2F', '%F0%9F%98%80', '__proto__', 'constructor'])
      for (const url of [
        `/v1/sites?pilot=${text}`,
        `/v1/rejected?site=${text}`,
        `/v1/sites/${text}`,
        `${SERIES}?tz=${text}`,
        `${SERIES}?${text}=1`,
      ])
        assert.ok((await get(url)).statusCode < 500, url);
    for (const resolution of ['5m', '60m', 'day', 'week', 'month'])
      for (const query of ['from=1971-01-01', 'to=1971-01-01', 'to=2200-01-01', 'from=2199-12-31', 'asOf=1971-01-01', 'asOf=2199-12-31'])
        for (const tz of ['UTC', 'Pacific/Apia', 'Pacific/Kiritimati'])
          assert.ok((await get(`${SERIES}?resolution=${resolution}&${query}&tz=${tz}`)).statusCode < 500, `${resolution} ${query} ${tz}`);
    for (const from of ['0001-01-01', '9999-12-31T23:59:59Z', '-271821-04-20', '1970-12-31', '2200-01-02'])
      await isProblem(await get(`${SERIES}?from=${from}`), 'REQUEST_INVALID');
    assert.equal((await get(`${SERIES}?completeness=-0`)).statusCode, 200);
  });

  it('bound what may be asked', async () => {
    await isProblem(await get(`${SERIES}?from=2000-01-01&to=2025-01-01&resolution=5m`), 'SPAN_TOO_LONG');
    await isProblem(await get(`${SERIES}?from=1971-01-02&to=2199-01-01&resolution=day`), 'SPAN_TOO_LONG');
    await isProblem(await get(`/v1/sites?pilot=${'x'.repeat(5_000)}`), 'REQUEST_TOO_LARGE');
    await isProblem(await get(`/v1/sites/${'x'.repeat(5_000)}`), 'REQUEST_TOO_LARGE');
    await isProblem(await get(`/v1/rejected?site=${'x'.repeat(MAX_NAME_CHARS + 1)}`), 'REQUEST_INVALID');
    // As long as the key of an event may be, and longer still once it is written in an address.
    assert.deepEqual((await get(`/v1/rejected?site=${encodeURIComponent('ä'.repeat(MAX_NAME_CHARS))}`)).json().rows, []);
    await isProblem(await get(`/v1/sites/${encodeURIComponent('ä'.repeat(MAX_NAME_CHARS))}`), 'NOT_FOUND');
    await isProblem(await get(`${SERIES}?unit=parsec`), 'UNIT_UNKNOWN');
    await isProblem(await get(SERIES, { accept: 'image/png' }), 'NOT_ACCEPTABLE');
  });

  it('say what is not there, not allowed, or not known', async () => {
    for (const url of ['/v1', '/v1/sites/site-zz', '/v1/sites/site-a1/points/none', '/v1/sites/site-a1/points/none/series', '/errors/NONE'])
      await isProblem(await get(url), 'NOT_FOUND');
    const headers = { authorization: `Bearer ${(await token('operator')).token}` };
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
      const answer = await app.inject({
        method,
        url: '/v1/sites',
        headers,
        payload: method === 'OPTIONS' ? undefined : { a: 'b'.repeat(5_000) },
      });
      await isProblem(answer, 'METHOD_NOT_ALLOWED');
      assert.equal(answer.headers.allow, 'GET, HEAD');
    }
    const unproven = await get('/v1/sites', {}, null);
    await isProblem(unproven, 'UNAUTHENTICATED');
    assert.equal(unproven.headers['www-authenticate'], 'Bearer realm="iflex"');
    await isProblem(await get('/v1/sites', {}, (await token('monitor')).token), 'FORBIDDEN');
  });
});

describe('problems of ours', () => {
  it('cancel what the database takes too long for', async () => {
    const server = await serverWith({}, 200);
    await whileSitesAreLocked(async () => {
      const answer = await server.ask('/v1/sites');
      await isProblem(answer, 'QUERY_TOO_SLOW');
      assert.equal(answer.headers['retry-after'], '5');
    });
    assert.equal((await server.ask('/v1/sites')).statusCode, 200);
    await server.close();
  });

  it('say that the database went away, and answer again once it is back', async () => {
    const server = await serverWith({});
    await whileSitesAreLocked(async () => {
      const answer = server.ask('/v1/sites');
      for (let ended = 0; ended === 0; ) {
        const { rowCount } = await pipeline.store.pool.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'",
          [`iflex read ${namespace}`],
        );
        ended = rowCount ?? 0;
      }
      const { detail } = await isProblem(await answer, 'DATABASE_UNREACHABLE');
      assert.doesNotMatch(detail, /\d+\.\d+\.\d+|:\d{4}/);
    });
    assert.equal((await server.ask('/v1/sites')).statusCode, 200);
    await server.close();
  });

  it('refuse more requests than can be under way, and forget those that were answered', async () => {
    const server = await serverWith({});
    let answers: Promise<Answer[]>;
    await whileSitesAreLocked(async () => {
      const waiting = Array.from({ length: MAX_REQUESTS_UNDER_WAY }, () => server.ask('/v1/sites'));
      await isProblem(await server.ask('/v1/sites'), 'OVERLOADED');
      await isProblem(await server.ask('/v1/sites'), 'OVERLOADED');
      answers = Promise.all(waiting);
    });
    assert.ok((await answers!).every(({ statusCode }) => statusCode === 200));
    for (let i = 0; i <= MAX_REQUESTS_UNDER_WAY; i++) assert.equal((await server.ask('/health')).statusCode, 200);
    await server.close();
  });

  it('keep to themselves what went wrong inside', async () => {
    const broken = async () => {
      throw new Error('the secret is hunter2');
    };
    const server = await serverWith({ metrics: { contentType: 'text/plain', render: broken, observe: () => {} } });
    const answer = await server.ask('/metrics');
    await isProblem(answer, 'INTERNAL');
    assert.doesNotMatch(answer.body, /hunter2/);
    await server.close();
  });

  it('are not ready before there are projections, nor while events wait too long', async () => {
    const bare = engine.namespace();
    await (await openPostgresLog({ url: engine.url, namespace: bare })).close();
    const { app: server, close } = await openApi({ backend: { url: engine.url }, namespace: bare, secret: SECRET, logger: false });
    await isProblem(await server.inject('/ready'), 'NOT_READY');
    assert.equal((await server.inject('/health')).statusCode, 200);
    await close();
    const lag = { reader: 'task', topic: 'ticks', partition: 0, records: 1, waitedMs: MAX_READY_LAG_MS };
    const late = await serverWith({ lags: async () => [lag, { ...lag, waitedMs: MAX_READY_LAG_MS + 1 }] });
    await isProblem(await late.ask('/ready'), 'NOT_READY');
    await late.close();
    const just = await serverWith({ lags: async () => [lag] });
    assert.deepEqual((await just.ask('/ready')).json(), { status: 'ready', longestWaitMs: MAX_READY_LAG_MS, ticksAheadMs: 0 });
    await just.close();
    await assert.rejects(openApi({ backend: { url: engine.url }, namespace: 'none_such', secret: SECRET }), { code: 'NOT_FOUND' });
  });
});

describe('the service', () => {
  it('is not ready, and measures by how much, where its clock has ticked ahead of the clock', async () => {
    const ahead = engine.namespace();
    const ticked = await startPipeline({ url: engine.url, namespace: ahead, codeVersion: 'test' });
    const nowMs = Date.now();
    await ticked.log.append(ticksAt(ticked.codec, nowMs + 730 * 86_400_000));
    await ticked.drained();
    await ticked.stop();
    const { app: server, close } = await openApi({ backend: { url: engine.url }, namespace: ahead, secret: SECRET, logger: false });
    const { detail } = await isProblem(await server.inject('/ready'), 'NOT_READY');
    assert.match(detail, /730 days ahead of the clock .* replay what came until now into a new namespace/);
    await close();
    const pool = await openReadPool(engine.url, ahead);
    const log = await openPostgresLog({ url: engine.url, namespace: ahead });
    const service = createService({ log, pool, taskTopics: ['ticks'], nowMs: () => nowMs });
    const shown = /^iflex_tick_lead_seconds ([\d.]+)$/m.exec(await service.metrics.render());
    await Promise.all([log.close(), pool.end()]);
    assert.ok(Math.abs(Number(shown?.[1]) - 730 * 86_400) <= 60, shown?.[0]);
  });

  it('measures how long events wait that nobody has taken in', async () => {
    const pool = await openReadPool(engine.url, namespace);
    const { log } = pipeline;
    const service = (nowMs: () => number) => createService({ log, pool, taskTopics: ['meter.readings', 'configuration'], nowMs });
    assert.ok((await service(Date.now).lags()).filter(({ reader }) => reader !== 'task').every(({ records }) => records === 0));
    // No processor reads the topic of pilots, so that a record there stays where it is.
    await log.append([
      { topic: 'configuration', key: 'p', value: pilot(), headers: { source: 'test', number: 1, type: 'PilotDeclared', knownAtMs: 0 } },
    ]);
    const waiting = (await service(() => Date.now() + 3_600_000).lags()).filter(
      ({ reader, topic, records }) => reader === 'task' && topic === 'configuration' && records > 0,
    );
    assert.equal(waiting.length, 1);
    assert.ok(waiting[0].waitedMs >= 3_600_000 && waiting[0].waitedMs < 3_700_000, `${waiting[0].waitedMs}`);
    await pool.end();
  });

  it('shows metrics of requests, log, readers, rejected events and the process', async () => {
    await get('/v1/sites');
    const { body } = await get('/metrics');
    const value = (pattern: RegExp) => Number(pattern.exec(body)?.[1] ?? Number.NaN);
    assert.ok(value(/^iflex_http_requests_total\{method="GET",route="\/v1\/sites",status="200"\} (\d+)$/m) >= 1);
    assert.ok(value(/^iflex_http_request_duration_seconds_count\{method="GET",route="\/v1\/sites"\} (\d+)$/m) >= 1);
    assert.equal(value(/^iflex_rejected_readings\{code="POINT_UNKNOWN"\} (\d+)$/m), 3);
    assert.equal(value(/^iflex_lag_seconds\{reader="series"\} (\d+)$/m), 0);
    assert.ok(body.split('\n').filter((line) => /^iflex_log_end_offset\{topic="resampled.5m".*\} [1-9]/.test(line)).length >= 3);
    assert.ok(value(/^process_resident_memory_bytes (\d+)$/m) > 1e6);
    // Addresses name sites, and are without end: only routes are counted.
    assert.doesNotMatch(body, /site-a1/);
  });

  it('counts rejected events on, as many at once as it may, and none twice', async () => {
    const pool = await openReadPool(engine.url, namespace);
    const all = (await rejectedCounts(pool)).map(({ code, events, readings }) => [code, { events, readings }]);
    const sum = (counts: Iterable<{ events: number }>) => [...counts].reduce((total, { events }) => total + events, 0);
    const count = createRejectedCounter(pool, 1);
    await Promise.all([count(), count(), count()]);
    for (let scrape = 0; scrape < 5; scrape++) await count();
    assert.deepEqual([...(await count())].sort(), all);
    assert.equal(sum((await rejectedCounts(pool)).values()), 3);
    // Partition by partition, one event each: fewer than all, where two came to the same.
    const first = await countRejected(pool, Array(PARTITION_COUNT).fill(0), 1);
    const partitions = first.map(({ partition }) => partition);
    assert.deepEqual(
      first.map(({ events }) => events),
      first.map(() => 1),
    );
    assert.equal(new Set(partitions).size, partitions.length);
    await pool.end();
  });

  it('has brought about every problem that requests can meet', () => {
    // A registry's errors have the form of registries (registry-of-others.services.test.ts).
    const isProblemOfOurs = (code: ErrorCode) => statusOf(code) !== 500 && code !== 'REGISTRY_UNREACHABLE';
    const answered = (Object.keys(ERROR_CODES) as ErrorCode[]).filter(isProblemOfOurs).concat('INTERNAL');
    assert.deepEqual([...seen].sort(), answered.sort());
  });
});

function pilot(): Uint8Array {
  return pipeline.codec.encode('PilotDeclared', {
    pilotId: 'p',
    knownAtMs: 0,
    name: 'p',
    country: 'FI',
    timeZone: 'UTC',
    language: 'en',
    bidZone: null,
  });
}
