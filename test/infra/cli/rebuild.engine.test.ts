import assert from 'node:assert/strict';
import { it, mock } from 'node:test';
import { iflexProgram } from '../../../infra/cli/program.ts';
import { seriesProjection } from '../../../projections/series.ts';
import { setAsideProjection } from '../../../projections/set-aside.ts';
import { openTestEngine } from '../../engine.ts';
import { windowsRecord } from '../../projections/events.ts';
import { advanceAll, withProjection } from '../../projections/world.ts';

const engine = await openTestEngine();
process.env.DATABASE_URL = engine.url;

/** What `iflex rebuild` prints, by stream. */
async function rebuilding(name: string, namespace: string): Promise<{ out: string; err: string }> {
  const out = mock.method(console, 'log', () => {});
  const err = mock.method(process.stderr, 'write', () => true);
  try {
    await iflexProgram().parseAsync(['rebuild', name, '--namespace', namespace], { from: 'user' });
    const linesOf = (calls: readonly { arguments: unknown[] }[]) => calls.map(({ arguments: [text] }) => String(text).trimEnd()).join('\n');
    return { out: linesOf(out.mock.calls), err: linesOf(err.mock.calls) };
  } finally {
    out.mock.restore();
    err.mock.restore();
  }
}

it('iflex rebuild shows how many events it reads, and nothing where there are none', () =>
  withProjection(engine, seriesProjection, async (world) => {
    const { log, codec } = world;
    const siteIds = Array.from({ length: 30 }, (_, i) => `s${i}`);
    await log.append(siteIds.map((siteId) => windowsRecord(codec, siteId, 'p', [{ startMs: Date.UTC(2024, 2, 1), mean: 1 }])));
    await advanceAll(world);
    const { out, err } = await rebuilding('series', log.namespace);
    assert.match(out, /^series_5m +30 rows\n/);
    assert.match(out, /The rows are the same; switched to the new build\.$/);
    assert.equal(err, 'Rebuilding series: 30 events …');
    await world.store.openBuild(setAsideProjection);
    assert.equal((await rebuilding('set-aside', log.namespace)).err, '');
  }));
