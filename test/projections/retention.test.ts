/** The setting by which rows are let go, as text. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { retentionText, rowsKept } from '../../projections/retention.ts';

it('lets nothing go where nothing is said', () => {
  assert.deepEqual(rowsKept(undefined), new Map());
  assert.deepEqual(rowsKept(''), new Map());
});

it('takes tables with their days, and says what it does', () => {
  const kept = rowsKept('series_5m=730, rejected = 365');
  assert.deepEqual(
    kept,
    new Map([
      ['series_5m', 730],
      ['rejected', 365],
    ]),
  );
  assert.match(retentionText(kept), /series_5m 730 days, rejected 365 days.*events stay in the log/);
});

it('refuses what it does not know, twice the same, and too few days', () => {
  for (const wrong of ['series_5m', 'latest_value=730', 'series_5m_history=730', 'series_5m=90', 'series_5m=2y', 'notice=365,notice=366'])
    assert.throws(() => rowsKept(wrong), { code: 'CONFIG_INVALID', message: /IFLEX_KEEP_ROWS.*Tables: series_5m, / }, wrong);
});
