/** The code tests the code: sizes, purity, words, and that error codes are documented and used. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../infra/engine.ts';
import { ERRORS } from '../streams/errors.ts';

const read = (file: string) => readFileSync(join(PROJECT_FOLDER, file), 'utf8');

function files(pattern: RegExp): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  return [...new Set(stdout.split('\n'))].filter((file) => pattern.test(file) && existsSync(join(PROJECT_FOLDER, file)));
}

const code = files(/^(schemas|streams|processors|projections|api|replay|infra|test)\/.*\.(ts|js)$/);

/** Folders and files whose functions must give the same for the same input, whenever and wherever they run. */
const PURE =
  /^(processors\/|replay\/simulate\/|schemas\/(codec|avro-bytes)\.ts|streams\/(drive|processor|state-bytes|time|batch|partitioner|verify)\.ts|streams\/security\/decide\.ts)/;
const IMPURE =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.|\bprocess\.|\bfetch\(|\bset(Timeout|Interval|Immediate)\(|from 'node:(fs|net|http|https|child_process|os|timers|worker_threads|dgram|tls)|\brandom(Bytes|UUID|Int)\b|\blocale(Compare)?\(/;

describe('the tree', () => {
  it('has no file over 400 lines, but for what is generated', () => {
    assert.ok(code.length > 60);
    const long = code.filter((file) => file !== 'schemas/types.ts' && read(file).split('\n').length > 401);
    assert.deepEqual(long, []);
  });

  it('has only the folders that it may have', () => {
    const top = new Set(files(/\//).map((file) => file.split('/')[0]));
    assert.deepEqual([...top].sort(), ['.ci', 'api', 'infra', 'processors', 'projections', 'replay', 'schemas', 'streams', 'test']);
  });

  it('has no clock, chance or I/O where results are made', () => {
    const pure = code.filter((file) => PURE.test(file));
    assert.ok(pure.length >= 20, `${pure.length} files`);
    const impure = pure.flatMap((file) =>
      read(file)
        .split('\n')
        .filter((line) => IMPURE.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    assert.deepEqual(impure, []);
  });

  it('would notice a clock', () => {
    for (const line of [
      'const now = Date.now();',
      'new Date()',
      'Math.random()',
      "import { readFileSync } from 'node:fs';",
      'await fetch(url)',
    ])
      assert.match(line, IMPURE);
    assert.doesNotMatch('new Date(startMs)', IMPURE);
  });

  it('has no unfinished work, skipped test or path of one machine', () => {
    // Written apart, so that this file does not match itself.
    const words = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'not imple' + 'mented'].map((word) => `\\b${word}\\b`).join('|'));
    const skipped = /\b(it|test|describe|suite)\.(skip|only|todo)\b|\bskip: true/;
    const paths = /(^|[^a-zA-Z.])\/(work|root)\//;
    const found = files(/\.(ts|js|cjs|md|yaml|json|sql|sh|py)$|^\.ci\//)
      .filter((file) => file !== 'package-lock.json' && file !== 'test/tidy.test.ts')
      .flatMap((file) =>
        read(file)
          .split('\n')
          .filter((line) => words.test(line) || skipped.test(line) || paths.test(line))
          .map((line) => `${file}: ${line.trim().slice(0, 120)}`),
      );
    assert.deepEqual(found, []);
  });
});

describe('error codes', () => {
  it('are used', () => {
    const text = code
      .filter((file) => file !== 'streams/errors.ts' && !file.startsWith('test/'))
      .map(read)
      .join('\n');
    assert.deepEqual(
      Object.keys(ERRORS).filter((errorCode) => !text.includes(`'${errorCode}'`)),
      [],
    );
  });

  it('stand in the README with their meaning and cure, and no others do', () => {
    const section = read('README.md').split('## Error codes')[1]?.split('\n## ')[0] ?? '';
    const documented = section.split('\n').filter((line) => line.startsWith('| `'));
    assert.deepEqual(
      documented,
      Object.entries(ERRORS).map(([errorCode, { meaning, cure }]) => `| \`${errorCode}\` | ${meaning} | ${cure} |`),
    );
  });
});
