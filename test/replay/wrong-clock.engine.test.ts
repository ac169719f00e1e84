/** What the README says to do after ticks of a wrong clock: replay what came until now into a new namespace, and go on there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import type { ResampledWindows } from '../../schemas/types.ts';
import { CLOCK_SOURCE, clockLead, ticksAt } from '../../streams/adapters/clock.ts';
import { CLOCK_TICK_MS, DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import { SCENARIO_FROM_MS, scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { replayNew } from './replaying.ts';

const engine = await openTestEngine();
const facts = [...scenarioFacts({ seed: 11, sites: 2, days: 3 })];
const WRONG_FROM_MS = SCENARIO_FROM_MS + DAY_MS;
/** An hour after the last delivery at most. */
const NOW_MS = (Math.floor(facts.at(-1)!.value.knownAtMs / HOUR_MS) + 1) * HOUR_MS;

type Pipeline = Awaited<ReturnType<typeof startPipeline>>;

async function withPipeline<T>(namespace: string, work: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
  try {
    const result = await work(pipeline);
    await pipeline.drained();
    return result;
  } finally {
    await pipeline.stop();
  }
}

/** Ticks of the clock's own name, so that the log leaves out those of before the wrong ones, as the clock does. */
const feedPart = (pipeline: Pipeline, part: readonly Fact[]) =>
  feed({ ...pipeline, facts: part, tickMs: CLOCK_TICK_MS, tickSource: CLOCK_SOURCE, speed: Number.POSITIVE_INFINITY });

/** Ticks as of a clock that was down until then and makes up for it, through the hours in which old days are reloaded. */
const goOn = (namespace: string) =>
  withPipeline(namespace, async (pipeline) => {
    const { log, codec, drained } = pipeline;
    const behind = Array.from({ length: 12 }, () => WRONG_FROM_MS);
    for (let hour = 0; hour <= 24; hour++) {
      await log.append(ticksAt(codec, NOW_MS + hour * HOUR_MS, hour === 0 ? behind : []));
      await drained();
    }
  });

/** Milliwatt-hours and covered time of the latest revision of each hour, by point and start. */
async function hoursOf(namespace: string): Promise<Map<string, string>> {
  return withPipeline(namespace, async ({ log, codec }) => {
    const hours = new Map<string, string>();
    for (const [partition, end] of (await log.endOffsets('resampled.60m')).entries())
      for (let offset = 0; offset < end; ) {
        const page = await log.read({ topic: 'resampled.60m', partition }, offset, { maxRecords: 10_000, maxBytes: 1e7 });
        for (const { value } of page.records)
          for (const { pointId, startMs, energyMilliWh, coveredMs } of (codec.decodeAs('ResampledWindows', value) as ResampledWindows)
            .series) {
            let ms = 0;
            startMs.forEach((step, i) => {
              ms += step;
              if (ms < NOW_MS && coveredMs[i] > 0) hours.set(`${pointId} ${ms}`, `${energyMilliWh[i]} ${coveredMs[i]}`);
            });
          }
        offset = page.nextOffset;
      }
    return hours;
  });
}

test('after ticks of a wrong clock, a replay until now and the right clock give the hours of a clock that was never wrong', async () => {
  const [undisturbed, wrong] = [engine.namespace(), engine.namespace()];
  await withPipeline(undisturbed, (pipeline) => feedPart(pipeline, facts));
  await goOn(undisturbed);
  await withPipeline(wrong, async (pipeline) => {
    await feedPart(
      pipeline,
      facts.filter(({ value }) => value.knownAtMs < WRONG_FROM_MS),
    );
    await pipeline.log.append(ticksAt(pipeline.codec, WRONG_FROM_MS + 730 * DAY_MS));
    await feedPart(
      pipeline,
      facts.filter(({ value }) => value.knownAtMs >= WRONG_FROM_MS),
    );
    assert.equal((await clockLead(pipeline.log, NOW_MS)).isWrong, true);
  });
  const { namespace } = await replayNew(engine, wrong, { fromMs: Number.NEGATIVE_INFINITY, toMs: NOW_MS }, Number.POSITIVE_INFINITY);
  await withPipeline(namespace, async ({ log }) => assert.equal((await clockLead(log, NOW_MS)).isWrong, false));
  await goOn(namespace);
  const expected = await hoursOf(undisturbed);
  assert.ok(expected.size > 300, String(expected.size));
  assert.deepEqual(await hoursOf(namespace), expected);
});
