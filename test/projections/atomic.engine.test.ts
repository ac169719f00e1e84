/** Rows of a projection and the positions that they come from are committed together, or not at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Projection } from '../../projections/projection.ts';
import { type Build, tableOf } from '../../projections/store.ts';
import { openTestEngine } from '../engine.ts';
import { windowsRecord } from './events.ts';
import { type World, withProjection } from './world.ts';

const engine = await openTestEngine();

/** A row an event; fails after the rows are written while it is told to. */
function counting(): Projection & { failing: boolean } {
  const projection: Projection & { failing: boolean } = {
    failing: false,
    name: 'counted',
    version: 1,
    sql: 'CREATE TABLE {{counted}} (topic_offset bigint);',
    topics: ['resampled.5m'],
    tables: ['counted'],
    async apply(client, table, events) {
      for (const { record } of events) await client.query(`INSERT INTO ${table('counted')} VALUES ($1)`, [record.offset]);
      // Not about the rows, so that no event is skipped for it.
      if (projection.failing) throw new Error('The process ends here.');
    },
    load: { indexLater: () => [] },
  };
  return projection;
}

async function stateOf({ store }: World, { projection, build }: Build) {
  const { rows } = await store.pool.query(`SELECT count(*)::int AS count FROM ${tableOf(build)('counted')}`);
  const positions = await store.positions(projection.name, build);
  return { rows: rows[0].count, read: [...positions.values()].reduce((sum, offset) => sum + offset, 0) };
}

for (const how of ['applied', 'loaded'])
  test(`rows and positions of a batch that fails are both undone, where it is ${how}`, async () => {
    const projection = counting();
    await withProjection(engine, projection, async (world) => {
      const { log, codec, store } = world;
      const build = how === 'applied' ? world.build : await store.createBuildBeside(projection, true);
      assert.equal(build.loading !== undefined, how === 'loaded');
      await log.append([0, 1, 2].map((i) => windowsRecord(codec, 's', 'p', [{ startMs: i * 300_000, mean: i }])));
      projection.failing = true;
      await assert.rejects(store.advance(log, build), /The process ends here/);
      assert.deepEqual(await stateOf(world, build), { rows: 0, read: 0 });
      assert.deepEqual([...build.positions], [], 'what is in memory has not moved on either');
      projection.failing = false;
      while ((await store.advance(log, build)) > 0);
      assert.deepEqual(await stateOf(world, build), { rows: 3, read: 3 });
    });
  });
