import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROJECTIONS } from '../../projections/list.ts';
import { TOPICS } from '../../streams/topics.ts';

test('facts and models are kept for ever; what projections are rebuilt from never expires', () => {
  const forEver = TOPICS.filter(({ name, kind }) => kind === 'fact' || name === 'models');
  assert.ok(forEver.length >= 13);
  for (const { name, cleanup } of forEver) assert.equal(cleanup, 'keep', name);
  const read = new Set(PROJECTIONS.flatMap(({ topics }) => topics));
  for (const { name, cleanup } of TOPICS) if (read.has(name)) assert.notEqual(cleanup, 'retain', name);
});

test('a topic has a span of retention exactly where it expires', () => {
  for (const { name, cleanup, retentionMs } of TOPICS) assert.equal(retentionMs !== null, cleanup === 'retain', name);
});
