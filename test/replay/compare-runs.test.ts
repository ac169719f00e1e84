import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeRunDifferences } from '../../replay/compare-runs.ts';
import type { RunDescription } from '../../streams/run.ts';

const now: RunDescription = {
  codeVersion: '2',
  configurationHash: 'new',
  processors: ['resampler@3'],
  seed: null,
  models: [],
  schemas: [
    { id: 1, fingerprint: 'aa' },
    { id: 2, fingerprint: 'bb' },
  ],
};
const recorded = (then: Partial<RunDescription>) => ({ runId: 'r1', knownAtMs: 7, partition: 4, ...now, ...then });

test('a run of the same code, settings and schemas explains nothing, and that is told', () => {
  assert.deepEqual(describeRunDifferences(recorded({}), now), [
    'run r1 made the events, with the same code, settings and schemas as this replay',
  ]);
  assert.deepEqual(describeRunDifferences(null, now), ['the log does not say which run made the events']);
});

test('what was otherwise is told field by field', () => {
  const then = recorded({ codeVersion: '1', processors: ['resampler@2'], seed: 5, schemas: [{ id: 1, fingerprint: 'cc' }] });
  assert.deepEqual(describeRunDifferences(then, now), [
    'run r1 made the events, otherwise than this replay:',
    '  codeVersion: "1", now "2"',
    '  processors[0]: "resampler@2", now "resampler@3"',
    '  seed: 5, now null',
    '  schemas.1: "cc", now "aa"',
    '  schemas.2: nothing, now "bb"',
  ]);
});

test('an event from before schemas were noted tells no difference in them', () => {
  assert.equal(describeRunDifferences(recorded({ schemas: [] }), now).length, 1);
});
