/** The bundled pilot replayed twice, verified, at other speeds, and with an interruption: always the same canonical bytes. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { bundledPilot } from '../../replay/pilots/bundled.ts';
import { SLICE_START_MS } from '../../replay/pilots/household.ts';
import { replayFacts } from '../../replay/replay.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { ALL, assertEqual, assertVerified, feedNew, replayNew } from './replaying.ts';

const engine = await openTestEngine();
const MAX = Number.POSITIVE_INFINITY;

describe('the first days of the bundled pilot', () => {
  let source: string;
  before(async () => {
    source = await feedNew(engine, (await bundledPilot(2)).facts);
  });

  it('replayed twice as what-if and verified from their journal give the same canonical bytes', async () => {
    const [one, other] = [await replayNew(engine, source, ALL, MAX), await replayNew(engine, source, ALL, MAX)];
    const counts = await assertEqual(engine, one.namespace, other.namespace);
    for (const topic of ['resampled.5m', 'resampled.15m', 'resampled.60m', 'forecasts', 'sites.latest'])
      assert.ok(counts.get(topic)! > 0, `${topic} has no events`);
    await assertEqual(engine, source, one.namespace);
    for (const namespace of [source, one.namespace]) assert.ok((await assertVerified(engine, namespace)).outputs > 1000);
  });

  for (const { speed, spanMs } of [
    { speed: 60, spanMs: 15 * MINUTE_MS },
    { speed: 3600, spanMs: 6 * HOUR_MS },
  ])
    it(`replayed at ×${speed} give the same canonical bytes as at full speed`, async () => {
      // The household is delivered every hour.
      const fromMs = SLICE_START_MS + 30 * HOUR_MS - 5 * MINUTE_MS;
      const range = { fromMs, toMs: fromMs + spanMs + 1 };
      const [fast, paced] = [await replayNew(engine, source, range, MAX), await replayNew(engine, source, range, speed)];
      // The last tick falls on the end of the span, so the pace shows.
      assert.ok(paced.elapsedMs >= spanMs / speed, `${paced.elapsedMs} ms`);
      const counts = await assertEqual(engine, fast.namespace, paced.namespace);
      assert.ok(counts.get('resampled.5m')! > 0);
    });

  it('replayed with an interruption go on where they ended', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace: source });
    const interrupted = new AbortController();
    const first = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
    const part = await replayFacts({
      // Paced, so that it appends little at a time.
      ...{ source: log, target: first.log, range: ALL, speed: 100_000, signal: interrupted.signal },
      onProgress: ({ appended }) => appended >= 200 && interrupted.abort(),
    });
    await first.stop();
    const second = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
    const rest = await replayFacts({ source: log, target: second.log, range: ALL, speed: MAX });
    await second.drained();
    await second.stop();
    await log.close();
    assert.ok(part.appended > 0 && rest.appended > 0, `${part.appended} and ${rest.appended}`);
    assert.equal(rest.redelivered, part.appended);
    await assertEqual(engine, source, namespace);
  });
});
