import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../infra/engine.ts';
import { savedResults, withBenchmarks } from './bench/report.ts';
import { TARGETS } from './bench/targets.ts';

const readme = readFileSync(join(PROJECT_FOLDER, 'README.md'), 'utf8');

/** How many functions the requirements name, by letter. */
const FUNCTIONS = { S: 11, I: 1, A: 9, G: 5, U: 16, R: 8, F: 7, D: 10, W: 3, X: 6 };

describe('the README', () => {
  const table = readme.split('<!-- features -->')[1].split('<!-- end of features -->')[0];
  const rows = table.split('\n').filter((line) => /^\| [A-Z]-\d/.test(line));

  it('has a row for every function, with its state', () => {
    const expected = Object.entries(FUNCTIONS).flatMap(([letter, count]) => Array.from({ length: count }, (_, i) => `${letter}-${i + 1}`));
    assert.deepEqual(
      rows.map((row) => row.split(' | ')[0].slice(2)),
      expected,
    );
    for (const row of rows) assert.match(row, /\| (done|in part|not yet) \|/);
  });

  it('names the test of everything that is done, and only files that exist', () => {
    for (const row of rows.filter((each) => each.includes('| done |'))) assert.match(row, /`test\/[^`]+`/, row);
    const files = [...readme.matchAll(/`((?:test|schemas|streams|processors|projections|api|replay|infra)\/[^` ]*?)`/g)].map(
      ([, file]) => file,
    );
    assert.ok(files.length > 5);
    for (const file of files) assert.ok(existsSync(join(PROJECT_FOLDER, file)), file);
  });

  it('gives a reason for every dependency', () => {
    const manifest = JSON.parse(readFileSync(join(PROJECT_FOLDER, 'package.json'), 'utf8'));
    const libraries = readme.split('## Libraries')[1].split('\n## ')[0];
    const names = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((name) => !name.startsWith('@types/'));
    for (const name of names) assert.ok(new RegExp(`[|,] ${name.replace('/', '\\/')}( \\||,)`).test(libraries), name);
  });

  it('shows the figures of the committed benchmark results, for every target', () => {
    assert.equal(withBenchmarks(readme, savedResults()), readme);
    for (const { name } of TARGETS) assert.ok(readme.includes(`| \`${name}\` |`), name);
  });

  it('names every command that there is', () => {
    const commands = readFileSync(join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts'), 'utf8');
    for (const name of ['start', 'import', 'replay', 'tap', 'topics', 'schemas', 'token', 'rebuild', 'pilot', 'site', 'serve'])
      assert.ok(readme.includes(`iflex ${name}`) && commands.length > 0, name);
  });
});
