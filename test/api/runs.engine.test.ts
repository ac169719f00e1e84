/** From a derived event to the code and settings that made it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasReached } from '../../projections/project.ts';
import type { RunStarted } from '../../schemas/types.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import { openFixture } from './fixture.ts';

const { namespace, pipeline, get } = await openFixture();
const { log, codec, store } = pipeline;

async function firstRecord(topic: string): Promise<LogRecord> {
  const partition = (await log.endOffsets(topic)).findIndex((end) => end > 0);
  return (await log.read({ topic, partition }, 0, { maxRecords: 1, maxBytes: 1_000_000 })).records[0];
}

/** Announces one more run of a partition, and waits until it can be asked for. */
async function announce(runId: string, partition: number, codeVersion: string): Promise<void> {
  const own = codec.decodeAs('RunStarted', (await firstRecord('runs')).value) as RunStarted;
  const value: RunStarted = { ...own, runId, partition, codeVersion, seed: 7, models: [{ model: 'day-ahead', sha256: 'ab' }] };
  const headers = { source: 'test', number: -1, id: runId, type: 'RunStarted', knownAtMs: value.knownAtMs };
  await log.append([{ topic: 'runs', key: String(partition), partition, value: codec.encode('RunStarted', value), headers }]);
  const ends = await log.endOffsets('runs');
  while (!(await hasReached(store, 'runs', new Map([[`runs/${partition}`, ends[partition]]])))) await log.waitForAppend(20);
}

describe('runs', () => {
  it('are found by the id that every derived event carries', async () => {
    for (const topic of ['resampled.15m', 'resampled.60m', 'notices', 'rejected']) {
      const { headers } = await firstRecord(topic);
      const answer = await get(`/v1/runs/${headers.run}`);
      assert.equal(answer.statusCode, 200, topic);
      const run = answer.json();
      assert.deepEqual([run.runId, run.namespace, run.mode, run.codeVersion], [pipeline.running.runId, namespace, 'live', 'test']);
      assert.ok(run.configurationHash.length >= 16 && run.tasks >= 1 && run.tasks <= 12);
      assert.ok(run.processors.some((processor: string) => /^resampler@\d+$/.test(processor)));
      assert.ok(run.schemas.length >= 10 && run.schemas.every(({ id, fingerprint }: never) => id > 0 && fingerprint));
      assert.ok(run.started <= run.lastStarted && run.knownAt < run.started);
    }
  });

  it('are listed with the latest first, over pages, in JSON and CSV', async () => {
    await announce('run-two', 3, 'two');
    await announce('run-two', 4, 'two');
    await announce('run-three', 3, 'three');
    const all = (await get('/v1/runs')).json().rows;
    assert.deepEqual(
      all.map(({ runId, tasks, seed }: never) => [runId, runId === pipeline.running.runId ? 'some' : tasks, seed]),
      [
        ['run-three', 1, 7],
        ['run-two', 2, 7],
        [pipeline.running.runId, 'some', null],
      ],
    );
    const paged: unknown[] = [];
    let url = '/v1/runs?limit=1';
    for (let page = 0; page < 4; page++) {
      const { rows, nextCursor } = (await get(url)).json();
      paged.push(...rows);
      if (nextCursor === null) break;
      url = `/v1/runs?limit=1&cursor=${nextCursor}`;
    }
    assert.deepEqual(paged, all);
    const [header, first] = (await get('/v1/runs', { accept: 'text/csv' })).body.split('\r\n');
    assert.match(header, /^runId,namespace,mode,note,codeVersion,configurationHash,processors,/);
    assert.match(first, /^run-three,t\w+,live,,three,/);
    assert.deepEqual((await get('/v1/runs/run-two')).json().models, [{ model: 'day-ahead', sha256: 'ab' }]);
  });

  it('of an unknown id are no secret, but not there', async () => {
    const answer = await get('/v1/runs/none');
    assert.deepEqual([answer.statusCode, answer.json().code], [404, 'NOT_FOUND']);
  });
});
