import assert from 'node:assert/strict';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { withServicesOfARun } from './services-of-a-run.ts';

test('a run has folders of its own, and another one of the same process new ones', async () => {
  const before = { ...process.env };
  const folders: string[] = [];
  for (let run = 0; run < 2; run++)
    await withServicesOfARun(async () => {
      folders.push(mkdtempSync(join(tmpdir(), 'of-a-run-')));
    });
  assert.notEqual(folders[0], folders[1]);
  assert.deepEqual(folders.filter(existsSync), []);
  assert.deepEqual({ ...process.env }, before);
});
