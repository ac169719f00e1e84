import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClient } from '../../streams/postgres.ts';
import { namespaceSchema, openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { CONTRACT_TOPICS, readAll, record, step } from './event-log-fixtures.ts';

const engine = await openTestEngine();
const AHEAD_MS = 3_600_000;

test('where the clock of the server was set back, appended times stand still until it has caught up, by appends and steps', async () => {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace, topics: CONTRACT_TOPICS });
  const client = await openClient(engine.url, 'test clock');
  try {
    const at = { topic: 'derived', partition: 2 };
    await log.append([record({ ...at })]);
    const [first] = await readAll(log, at);
    // As if the first append had been stamped by a clock that went an hour ahead.
    const aheadMs = first.appendedMs + AHEAD_MS;
    for (const statement of ['UPDATE %.log_partition SET last_appended_ms = $1', 'UPDATE %.log_batch SET appended_ms = $1'])
      await client.query(`${statement.replace('%', namespaceSchema(namespace))} WHERE topic = 'derived' AND partition = 2`, [aheadMs]);
    await log.append([record({ ...at })]);
    await (await log.takeTask(2)).commit(step({ outputs: [record({ ...at })] }));
    assert.deepEqual(
      (await readAll(log, at)).map(({ appendedMs }) => appendedMs),
      [aheadMs, aheadMs, aheadMs],
    );
    assert.equal(await log.offsetAtAppendedTime(at, aheadMs), 0);
    await log.append([record({ topic: 'derived', partition: 1 })]);
    const [other] = await readAll(log, { topic: 'derived', partition: 1 });
    assert.ok(other.appendedMs < aheadMs, 'other partitions go by the clock');
  } finally {
    await client.end();
    await log.close();
  }
});
