import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { configurationHash, DECIDING_LIMITS } from '../../infra/pipeline.ts';

test('every limit that processors or the drive use counts for the hash of the configuration', () => {
  const files = [...globSync('processors/**/*.ts', { cwd: PROJECT_FOLDER }), 'streams/drive.ts'];
  const used = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(PROJECT_FOLDER, file), 'utf8');
    for (const [, names] of text.matchAll(/import \{([^}]*)\} from '[^']*\/limits\.ts'/g))
      for (const name of names.split(',')) used.add(name.trim());
  }
  for (const constant of ['', 'MINUTE_MS', 'HOUR_MS', 'DAY_MS']) used.delete(constant);
  assert.ok(used.size > 5);
  assert.deepEqual([...used].filter((name) => !(name in DECIDING_LIMITS)).sort(), []);
  assert.match(configurationHash(), /^[0-9a-f]{16}$/);
});
