/** The check for dead code sees every folder: what is planted in each is found, and nothing else. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../infra/engine.ts';

const FOLDERS = ['schemas', 'streams', 'processors', 'projections', 'api', 'replay', 'infra', 'test'];

interface Issue {
  file: string;
  exports?: { name: string }[];
  files?: { name: string }[];
  devDependencies?: { name: string }[];
}

/** Findings in a tree of the files given, by the project's own settings; "file: what". */
function findingsIn(files: Record<string, string>): { status: number | null; findings: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'iflex-dead-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const options = ['--config', join(PROJECT_FOLDER, '.ci', 'knip.json'), '--no-progress', '--reporter', 'json'];
    const { status, stdout } = spawnSync(join(PROJECT_FOLDER, 'node_modules', '.bin', 'knip'), options, { cwd: folder, encoding: 'utf8' });
    const { issues } = JSON.parse(stdout) as { issues: Issue[] };
    const findings = issues.flatMap(({ file, exports = [], files = [], devDependencies = [] }) => [
      ...[...exports, ...devDependencies].map(({ name }) => `${file}: ${name}`),
      ...files.map(() => `${file}: the whole file`),
    ]);
    return { status, findings: findings.sort() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A file in each folder, all of which the program uses; what it exports beyond that is given. */
function tree(beside = ''): Record<string, string> {
  const leaves = FOLDERS.map((folder) => [`${folder}/leaf.ts`, `export const one = 1;\n${beside}`]);
  const imports = FOLDERS.map((folder) => `import { one as ${folder} } from '../../${folder}/leaf.ts';\n`).join('');
  return {
    ...Object.fromEntries(leaves),
    'infra/cli/main.ts': `${imports}console.log(${FOLDERS.join(', ')});\n`,
    'test/stages.ts': 'console.log(1);\n',
    'package.json': '{ "name": "planted", "type": "module" }',
  };
}

test('a tree in which everything is used passes', () => {
  assert.deepEqual(findingsIn(tree()), { status: 0, findings: [] });
});

test('an unused export is found in every folder, and so are an unused file and an unused dependency', () => {
  const planted = tree('export const planted = 2;\n');
  planted['streams/alone.ts'] = 'console.log(1);\n';
  planted['package.json'] = '{ "name": "planted", "type": "module", "devDependencies": { "left-pad": "1.0.0" } }';
  const { status, findings } = findingsIn(planted);
  assert.equal(status, 1);
  assert.deepEqual(
    findings,
    [...FOLDERS.map((folder) => `${folder}/leaf.ts: planted`), 'package.json: left-pad', 'streams/alone.ts: the whole file'].sort(),
  );
});
