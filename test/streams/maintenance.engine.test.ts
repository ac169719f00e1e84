import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventLog } from '../../streams/event-log.ts';
import { maintain, planMaintenance, runMaintenance } from '../../streams/maintenance.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { appendLater, CONTRACT_TOPICS, readAll, record } from './event-log-fixtures.ts';

const engine = await openTestEngine();
const topics = CONTRACT_TOPICS;
const SHORT = { topic: 'short', partition: 1 };
const LATEST = { topic: 'things.latest', partition: 0 };

async function withLog(work: (log: EventLog) => Promise<void>): Promise<void> {
  const log = await openPostgresLog({ url: engine.url, namespace: engine.namespace(), topics });
  try {
    await work(log);
  } finally {
    await log.close();
  }
}

const update = (key: string) => record({ ...LATEST, key });

test('a plan tells what upkeep then removes; facts stay whatever their age', async () => {
  await withLog(async (log) => {
    await log.append(['a', 'b', 'a', 'a', 'c', 'b'].map(update));
    await log.append([record({ ...SHORT }), record({ ...SHORT })]);
    await log.append([record({ partition: 0 }), record({ partition: 0 })]);
    const fact = (await readAll(log, { topic: 'facts.a', partition: 0 }))[0];
    // The retention of the tests is a millisecond, by which the log goes on.
    await appendLater(log, { topic: 'facts.b', partition: 0 }, fact.appendedMs + 1);
    const plans = await planMaintenance({ log, topics });
    assert.deepEqual(
      plans.map(({ topic, rule, held, toRemove }) => ({ topic, rule, held, toRemove })),
      [
        { topic: 'things.latest', rule: 'compact', held: 6, toRemove: 3 },
        { topic: 'short', rule: 'retain', held: 2, toRemove: 2 },
      ],
    );
    assert.equal((await readAll(log, LATEST)).length, 6, 'a plan changes nothing');
    assert.deepEqual([...(await maintain({ log, topics }))], [['things.latest', 3], ['short', 2]]); // biome-ignore format: pairs
    assert.deepEqual(
      (await readAll(log, LATEST)).map(({ key }) => key),
      ['a', 'c', 'b'],
    );
    assert.deepEqual(await readAll(log, SHORT), []);
    assert.equal((await readAll(log, { topic: 'facts.a', partition: 0 })).length, 2);
    assert.deepEqual([...(await maintain({ log, topics }))], [['things.latest', 0], ['short', 0]]); // biome-ignore format: pairs
  });
});

test('age counts from the latest append of the log: what stands still loses nothing', async () => {
  await withLog(async (log) => {
    await log.append([record({ ...SHORT })]);
    const [{ appendedMs }] = await readAll(log, SHORT);
    // Each pass comes later by the clock of the process than the millisecond that is kept.
    for (const startedMs = Date.now(); Date.now() < startedMs + 5; ) assert.equal((await maintain({ log, topics })).get('short'), 0);
    const [plan] = (await planMaintenance({ log, topics })).filter(({ topic }) => topic === 'short');
    assert.deepEqual([plan.beforeAppendedMs, plan.toRemove], [appendedMs - 1, 0]);
    await appendLater(log, { topic: 'facts.b', partition: 3 }, appendedMs + 1);
    assert.equal((await maintain({ log, topics })).get('short'), 1);
  });
});

test('regular upkeep leaves a compacted topic alone that has not grown, and ends at the signal', async () => {
  await withLog(async (log) => {
    await log.append(['a', 'a', 'b'].map(update));
    const ending = new AbortController();
    const passes: Record<string, number>[] = [];
    const running = runMaintenance({
      ...{ log, topics, everyMs: 1, signal: ending.signal },
      onPass(removed) {
        passes.push(Object.fromEntries(removed));
        if (passes.length === 3) ending.abort();
      },
    });
    await running;
    assert.deepEqual(passes, [{ 'things.latest': 1, short: 0 }, { short: 0 }, { short: 0 }]);
  });
});
