/** What a newcomer does first: `npm start -- --once` on an empty state folder, again, and then the API until Ctrl-C. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { openReadPool } from '../../projections/queries/read-pool.ts';
import type { Fact } from '../../replay/facts.ts';
import { BUNDLED_FOLDER, bundledPilot } from '../../replay/pilots/bundled.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import { MINUTE_MS } from '../../streams/limits.ts';

/** Enough days for the gap of the measured household (days 14 to 16), few enough to be quick. */
const DAYS = 17;
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'iflex-start-')));
// The server of root runs as another user, who has to get through.
chmodSync(folder, 0o711);
const state = join(folder, 'state');
after(() => rmSync(folder, { recursive: true, force: true }));

function iflex(...args: string[]): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const environment = { ...process.env, IFLEX_STATE: state };
  delete (environment as Record<string, unknown>).DATABASE_URL;
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, 'infra', 'iflex.js'), ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { child, output: () => output, ended: once(child, 'close').then(([status]) => status as number | null) };
}

async function run(...args: string[]): Promise<{ status: number | null; output: string }> {
  const { output, ended } = iflex(...args);
  const status = await ended;
  return { status, output: output() };
}

/** Asks the database of the state folder while no `iflex` runs on it. */
async function withPool(work: (pool: Awaited<ReturnType<typeof openReadPool>>) => Promise<void>): Promise<void> {
  const server = await startEmbeddedPostgres({ stateFolder: state });
  const pool = await openReadPool(server.url, 'demo');
  try {
    await work(pool);
  } finally {
    await pool.end();
    await server.stop();
  }
}

/** Counts straight from what is fed, by other means than the pipeline's. */
function expectedCounts(facts: readonly Fact[]) {
  const counts = { delivered: 0, misdated: 0, doubles: 0, conflicts: 0, distinct: 0 };
  const seen = new Map<string, number>();
  for (const { schema, value } of facts) {
    if (schema !== 'ReadingsDelivery') continue;
    for (const { pointId, startMs, value: values, energyMilliWh } of (value as ReadingsDelivery).series) {
      let ms = 0;
      for (let i = 0; i < startMs.length; i++) {
        ms += startMs[i];
        counts.delivered++;
        if (ms > Date.UTC(2038, 0)) counts.misdated++;
        else {
          const reading = values[i] ?? energyMilliWh[i];
          const before = seen.get(`${pointId} ${ms}`);
          if (before !== undefined) counts.doubles++;
          if (before !== undefined && before !== reading) counts.conflicts++;
          seen.set(`${pointId} ${ms}`, reading);
        }
      }
    }
  }
  return { ...counts, distinct: seen.size };
}

/** Minutes of the measured file that are delivered in the days: the last hour's delivery comes after them. */
function measuredMinutes(): boolean[] {
  const lines = gunzipSync(readFileSync(join(BUNDLED_FOLDER, 'household.csv.gz')))
    .toString('utf8')
    .trimEnd()
    .split('\n');
  return lines.slice(1, 1 + (DAYS * 24 - 1) * 60).map((line) => !line.endsWith(',,,,'));
}

const numberAfter = (output: string, pattern: RegExp) => Number(pattern.exec(output)?.[1].replaceAll(',', ''));

/** Lines of the report that say what stands in the namespace. */
const totals = (output: string) =>
  output.split('\n').filter((line) => /^(Events|Readings|Series|Forecasts|Rejected|Notices| +\d+m:)/.test(line));
const nothingRuns = () => assert.ok(!existsSync(join(state, 'data-18', 'postmaster.pid')), 'nothing is left running');

const { facts, instance } = await bundledPilot(DAYS);

describe('npm start', { timeout: 300_000 }, () => {
  const household = instance.sites.find(({ origin }) => origin === 'MEASURED')!;
  let printed: string;

  it('replays the bundled pilot into an empty database, prints exact counts, and leaves nothing running', async () => {
    const first = await run('start', '--once', '--days', String(DAYS));
    assert.equal(first.status, 0, first.output);
    nothingRuns();
    printed = first.output;
    const { delivered, misdated, doubles, conflicts, distinct } = expectedCounts(facts);
    assert.ok(misdated > 0 && conflicts > 0 && doubles > conflicts);
    assert.equal(numberAfter(printed, /Readings +([\d,]+) delivered/), delivered);
    assert.equal(numberAfter(printed, /([\d,]+) in windows/), distinct);
    assert.equal(numberAfter(printed, /([\d,]+) doubles/), doubles);
    assert.equal(numberAfter(printed, /CONFLICT ([\d,]+)/), conflicts);
    assert.equal(numberAfter(printed, /READING_IN_FUTURE ([\d,]+) readings/), misdated);
    assert.equal(numberAfter(printed, /([\d,]+) recognised as redelivered/), 0);
    assert.match(printed, /MEASURED: a real household/);
  });

  it('has every measured minute and the gap of the source in the database, as many windows as it said', async () => {
    const minutes = measuredMinutes();
    assert.equal(minutes.filter((measured) => !measured).length, 3723);
    const fives = Array.from({ length: minutes.length / 5 }, (_, i) => minutes.slice(5 * i, 5 * i + 5).filter(Boolean).length);
    const endMs = household.knownAtMs + minutes.length * MINUTE_MS;
    const { pointId } = household.points.find(({ name }) => name === 'grid')!;
    await withPool(async (pool) => {
      const { rows } = await pool.query(
        `SELECT sum(reading_count)::int AS readings, count(*) AS windows, count(*) FILTER (WHERE covered_ms = 0) AS missing,
           count(*) FILTER (WHERE covered_ms > 0 AND covered_ms < 300000) AS partly
         FROM series_5m JOIN point USING (point_ref) WHERE point_id = $1 AND start_at < to_timestamp($2)`,
        [pointId, endMs / 1000],
      );
      const windowsWith = (has: (measured: number) => boolean) => fives.filter(has).length;
      assert.deepEqual(rows, [
        {
          readings: minutes.filter(Boolean).length,
          windows: fives.length,
          missing: windowsWith((measured) => measured === 0),
          partly: windowsWith((measured) => measured > 0 && measured < 5),
        },
      ]);
      for (const width of ['5m', '15m', '60m']) {
        const { rows: counts } = await pool.query(`SELECT count(*)::int AS count FROM series_${width}`);
        assert.equal(numberAfter(printed, new RegExp(` ${width}: ([\\d,]+) windows`)), counts[0].count);
      }
    });
  });

  it('recognises everything the second time, changes nothing, and serves the API until Ctrl-C', async () => {
    const port = await freePort();
    const second = iflex('start', '--days', String(DAYS), '--port', String(port));
    await told(second, /Ctrl-C stops/);
    assert.match(second.output(), /Appended +0 facts and ticks; [\d,]{5,} recognised as redelivered/);
    assert.match(second.output(), /nothing changed/);
    assert.ok(totals(printed).length >= 8);
    assert.deepEqual(totals(second.output()), totals(printed));

    const { output } = await run('token', 'new', '--role', 'operator', '--expires', '1h');
    const headers = { authorization: `Bearer ${output.split('\n').find((line) => line.startsWith('iflex_'))}` };
    const sites = await fetch(`http://127.0.0.1:${port}/v1/sites`, { headers });
    assert.equal(sites.status, 200);
    assert.ok((await sites.text()).includes(household.siteId));
    assert.equal((await fetch(`http://127.0.0.1:${port}/v1/sites`)).status, 401);

    const refused = await run('start', '--days', '1', '--namespace', 'other', '--port', String(port));
    assert.equal(refused.status, 1);
    assert.match(refused.output, /CONFIG_INVALID: .*another --port/);

    // As from a terminal, where it comes more than once.
    second.child.kill('SIGINT');
    second.child.kill('SIGINT');
    assert.equal(await second.ended, 0, second.output());
    nothingRuns();
  });
});

async function told({ child, output, ended }: ReturnType<typeof iflex>, text: RegExp): Promise<void> {
  const gone = ended.then((status) => {
    throw new Error(`It ended with status ${status} before it said ${text}:\n${output()}`);
  });
  gone.catch(() => {});
  while (!text.test(output())) await Promise.race([once(child.stdout!, 'data'), gone]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
