/**
 * A year of back-fill in random order for each kind of point; writes backfill-results.json after each, so that a soak that
 * is stopped early says what it has done.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { codeVersion } from '../../infra/code-version.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { type BackfilledYear, backfillYear } from './backfilled-year.ts';

/** At the start: files may be changed while it goes on. */
const COMMIT = codeVersion();
const { url, namespace } = await openTestEngine();
const MAX_REVISIONS_PER_WINDOW = 3;
const YEAR = { seed: 11, days: 365, spacingMs: 5 * MINUTE_MS, backfillMs: 20 * HOUR_MS };

const kinds: Record<string, BackfilledYear & { seconds: number }> = {};

for (const kind of ['INTERVAL_ENERGY', 'MEAN_POWER', 'INSTANT_POWER', 'REGISTER'] as const)
  test(`a year of ${kind} at five minutes, back-filled over most of a day, gives the windows of an in-order import`, async () => {
    const started = performance.now();
    const result = await backfillYear({ url, namespace, ...YEAR, kinds: [kind] });
    kinds[kind] = { ...result, seconds: Math.round((performance.now() - started) / 1000) };
    const results = { commit: COMMIT, ...YEAR, mostRevisionsPerWindow: MAX_REVISIONS_PER_WINDOW, kinds };
    writeFileSync(new URL('backfill-results.json', import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
    const { revisionsPerWindow } = result;
    assert.ok(revisionsPerWindow <= MAX_REVISIONS_PER_WINDOW, `${revisionsPerWindow} revisions a window`);
  });
