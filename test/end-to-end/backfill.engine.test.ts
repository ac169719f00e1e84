import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { backfillYear } from './backfilled-year.ts';

const { url, namespace } = await openTestEngine();
const MAX_REVISIONS_PER_WINDOW = 3;

test('a year of back-fill in random order on a live site gives the windows of an in-order import', async () => {
  const { revisionsPerWindow, reloads } = await backfillYear({
    url,
    namespace,
    seed: 7,
    days: 365,
    spacingMs: 15 * MINUTE_MS,
    kinds: ['INTERVAL_ENERGY'],
    backfillMs: 3 * HOUR_MS,
  });
  assert.ok(reloads >= 365 && reloads < 2 * 365, `${reloads} reloads`);
  assert.ok(revisionsPerWindow <= MAX_REVISIONS_PER_WINDOW, `${revisionsPerWindow} revisions a window`);
});

test('so do a register and mean power over a week, where the back-fill takes most of a day', async () => {
  const { revisionsPerWindow } = await backfillYear({
    url,
    namespace,
    seed: 8,
    days: 7,
    spacingMs: 15 * MINUTE_MS,
    kinds: ['REGISTER', 'MEAN_POWER'],
    backfillMs: 20 * HOUR_MS,
  });
  assert.ok(revisionsPerWindow <= MAX_REVISIONS_PER_WINDOW, `${revisionsPerWindow} revisions a window`);
});
