import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { backfillYear } from './backfilled-year.ts';

const { url, namespace } = await openTestEngine();
const MAX_REVISIONS_PER_WINDOW = 3;

for (const kind of ['INTERVAL_ENERGY', 'MEAN_POWER', 'INSTANT_POWER', 'REGISTER'] as const) {
  test(`a year of ${kind} at five minutes, back-filled over most of a day, gives the windows of an in-order import`, async () => {
    const { revisionsPerWindow } = await backfillYear({
      url,
      namespace,
      seed: 11,
      days: 365,
      spacingMs: 5 * MINUTE_MS,
      kinds: [kind],
      backfillMs: 20 * HOUR_MS,
    });
    assert.ok(revisionsPerWindow <= MAX_REVISIONS_PER_WINDOW, `${revisionsPerWindow} revisions a window`);
  });
}
