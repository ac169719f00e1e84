import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../infra/engine.ts';

const FOLDERS = ['schemas', 'streams', 'processors', 'projections', 'api', 'replay', 'infra', 'test'];
const CODE = /^(schemas|streams|processors|projections|api|replay|infra|test)\/.*\.(ts|js|cjs|mjs)$/;

interface Report {
  modules: { source: string; dependencies: unknown[] }[];
  summary: { violations: { rule: { name: string }; from: string }[] };
}

/** The report goes to a file, as what is left in a pipe when the tool exits is lost. */
function cruise(folder: string, folders: string[]): Report {
  const into = mkdtempSync(join(tmpdir(), 'iflex-walls-'));
  try {
    const report = join(into, 'report.json');
    const options = ['--config', join(PROJECT_FOLDER, '.ci', 'walls.cjs'), '--output-type', 'json', '--output-to', report];
    spawnSync(join(PROJECT_FOLDER, 'node_modules', '.bin', 'depcruise'), [...options, ...folders], { cwd: folder });
    return JSON.parse(readFileSync(report, 'utf8')) as Report;
  } finally {
    rmSync(into, { recursive: true });
  }
}

function trackedCode(): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  const deleted = spawnSync('git', ['ls-files', '--deleted'], { cwd: PROJECT_FOLDER, encoding: 'utf8' }).stdout.split('\n');
  return stdout.split('\n').filter((file) => CODE.test(file) && !deleted.includes(file));
}

describe('the import lint', () => {
  const made: string[] = [];
  after(() => {
    for (const folder of made) rmSync(folder, { recursive: true, force: true });
  });

  /** A tree with the files given; what they import from packages is the project's. */
  function planted(files: Record<string, string>): Report {
    const folder = mkdtempSync(join(tmpdir(), 'iflex-walls-'));
    made.push(folder);
    symlinkSync(join(PROJECT_FOLDER, 'node_modules'), join(folder, 'node_modules'));
    symlinkSync(join(PROJECT_FOLDER, 'tsconfig.json'), join(folder, 'tsconfig.json'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module", "dependencies": { "pg": "*", "avsc": "*" } }');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return cruise(folder, [...new Set(Object.keys(files).map((path) => path.split('/')[0]))]);
  }
  const broken = (report: Report) => report.summary.violations.map(({ rule, from }) => `${rule.name} ${from}`).sort();

  it('sees every file, and finds nothing', () => {
    const report = cruise(PROJECT_FOLDER, FOLDERS);
    const seen = new Set(report.modules.map(({ source }) => source));
    const files = trackedCode();
    assert.ok(files.length >= 60);
    assert.deepEqual(
      files.filter((file) => !seen.has(file)),
      [],
    );
    // A linter that cannot parse a file sees it, but none of its imports.
    assert.ok(report.modules.reduce((sum, { dependencies }) => sum + dependencies.length, 0) > files.length * 2);
    assert.deepEqual(broken(report), []);
  });

  it('refuses a planted violation of every wall', () => {
    const leaf = 'export const one = 1;\n';
    const reach = (folder: string) => `import { one } from '../${folder}/leaf.ts';\nexport const two: number = one + 1;\n`;
    const forbidden: [string, string][] = [
      ['schemas', 'streams'], ['streams', 'processors'], ['streams', 'projections'], ['processors', 'projections'], ['processors', 'replay'],
      ['projections', 'processors'], ['projections', 'api'], ['api', 'processors'], ['api', 'infra'], ['replay', 'infra'], ['infra', 'test'], ['api', 'replay'],
    ]; // biome-ignore format: pairs
    const files: Record<string, string> = {};
    for (const [from, to] of forbidden) {
      files[`${from}/reach-${to}.ts`] = reach(to);
      files[`${to}/leaf.ts`] = leaf;
    }
    const { violations } = planted(files).summary;
    assert.deepEqual(violations.map(({ from }) => from).sort(), forbidden.map(([from, to]) => `${from}/reach-${to}.ts`).sort());
  });

  it('lets through what is allowed', () => {
    const leaf = 'export const one = 1;\n';
    const files: Record<string, string> = {
      'schemas/leaf.ts': leaf,
      'streams/leaf.ts': leaf,
      'projections/leaf.ts': leaf,
      'processors/leaf.ts': leaf,
    };
    for (const [
      from,
      to,
    ] of [['streams', 'schemas'], ['processors', 'streams'], ['projections', 'streams'], ['api', 'projections'], ['replay', 'processors'], ['infra', 'projections']]) // biome-ignore format: pairs
      files[`${from}/reach-${to}.ts`] = `export { one } from '../${to}/leaf.ts';\n`;
    assert.deepEqual(broken(planted(files)), []);
  });

  it('keeps libraries behind their one file, and finds circles', () => {
    const report = planted({
      'streams/other.ts': "import pg from 'pg';\nexport const pool = new pg.Pool();\n",
      'streams/postgres.ts': "import pg from 'pg';\nexport const pool = new pg.Pool();\n",
      'schemas/other.ts': "import avro from 'avsc';\nexport const type = avro.Type;\n",
      'schemas/codec.ts': "import avro from 'avsc';\nexport const type = avro.Type;\n",
      'streams/a.ts': "import { b } from './b.ts';\nexport const a = (): unknown => b;\n",
      'streams/b.ts': "import { a } from './a.ts';\nexport const b = (): unknown => a;\n",
    });
    assert.deepEqual(
      broken(report).filter((line) => !line.startsWith('no-circles')),
      ['avsc-in-the-codec schemas/other.ts', 'pg-in-one-place streams/other.ts'],
    );
    assert.ok(broken(report).some((line) => line.startsWith('no-circles')));
  });
});
