/**
 * Runs benchmarks: npm run bench -- [NAME…] [--group spine|kafka|chain] [--json] [--quick] [--save]. Without a name all.
 * Each target of targets.ts that was measured gives a line; exit status 1 where one is missed or none was measured.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Benchmark } from './benchmark.ts';
import { BENCHMARKS } from './list.ts';
import { type SavedResults, savedResults } from './report.ts';
import { TARGETS, type Target } from './targets.ts';

interface Result {
  name: string;
  group: string;
  ratio: number;
  target: string;
  holds: boolean;
  figures: Record<string, number | string>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { group: { type: 'string' }, json: { type: 'boolean' }, quick: { type: 'boolean' }, save: { type: 'boolean' } },
});

function isWanted(target: Target): boolean {
  return (positionals.length === 0 || positionals.includes(target.name)) && (values.group === undefined || values.group === target.group);
}

async function measure(benchmark: Benchmark, wanted: readonly Target[]): Promise<Result[]> {
  const { ratios, figures } = await benchmark.run({ quick: values.quick === true });
  return wanted.map(({ name, group, target, bound }) => {
    const ratio = ratios[name];
    if (ratio === undefined) throw new Error(`The benchmark did not measure ${name}.`);
    const holds = bound === 'least' ? ratio >= target : ratio <= target;
    return { name, group, ratio, target: `${bound === 'least' ? '≥' : '≤'} ${Number(target.toPrecision(3))}`, holds, figures };
  });
}

function show(result: Result): void {
  if (values.json) return console.log(JSON.stringify(result));
  console.log(`${result.holds ? 'holds ' : 'MISSED'} ${result.name}: ${Number(result.ratio.toPrecision(4))} (target ${result.target})`);
  for (const [name, value] of Object.entries(result.figures))
    console.log(`         ${name}: ${typeof value === 'number' ? Number(value.toPrecision(5)).toLocaleString('en') : value}`);
}

const unknown = positionals.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const results: Result[] = [];
for (const benchmark of BENCHMARKS) {
  const wanted = TARGETS.filter((target) => benchmark.targets.includes(target.name) && isWanted(target));
  if (wanted.length === 0) continue;
  for (const result of await measure(benchmark, wanted)) {
    show(result);
    results.push(result);
  }
}
if (values.save) save();
process.exit(results.length > 0 && results.every(({ holds }) => holds) ? 0 : 1);

/** Keeps the results of this run; those of benchmarks that it left out stay. */
function save(): void {
  const file = new URL('results.json', import.meta.url);
  const kept = existsSync(file) ? savedResults().results.filter((old) => !results.some(({ name }) => name === old.name)) : [];
  const saved: SavedResults = {
    commit: execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim(),
    measuredOn: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores (${cpus()[0].model.trim()}), Node ${process.version}`,
    results: [...kept, ...results.map(({ name, ratio, holds, figures }) => ({ name, ratio, holds, figures }))],
  };
  writeFileSync(file, `${JSON.stringify(saved, null, 2)}\n`);
}
