/**
 * Runs benchmarks: npm run bench -- [NAME…] [--group spine] [--json] [--quick] [--save], or --help. Without a name all.
 * Each target of targets.ts that was measured gives a line; exit status 1 where one is missed, 2 where none is wanted.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Benchmark } from './benchmark.ts';
import { BENCHMARKS } from './list.ts';
import { type SavedResults, savedResults } from './report.ts';
import { isReached, TARGETS, type Target, targetText } from './targets.ts';

interface Result {
  name: string;
  group: string;
  ratio: number;
  target: string;
  holds: boolean;
  remark?: string;
  figures: Record<string, number | string>;
}

const NAMES = TARGETS.map(({ name }) => name);
const GROUPS = [...new Set(TARGETS.map(({ group }) => group))];
const HELP = `npm run bench -- [NAME…] [options]: measures what targets there are, all without a name. Status 1 where one is missed.

  --group NAME   only targets of a group: ${GROUPS.join(', ')}
  --json         one JSON object a target
  --quick        shorter runs, whose figures say less
  --save         keep the results for the table of the README
  --help         this text

Names
  ${NAMES.join('\n  ')}

Examples
  npm run bench -- ${NAMES[0]} --quick
  npm run bench -- --group ${GROUPS[0]} --json`;

const { values, positionals } = argumentsGiven();
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

function argumentsGiven() {
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      allowPositionals: true,
      options: { group: { type: 'string' }, json: flag, quick: flag, save: flag, help: { ...flag, short: 'h' } },
    });
  } catch (error) {
    return refuse(`${(error as Error).message}\n\n${HELP}`);
  }
}

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function isWanted(target: Target): boolean {
  return (positionals.length === 0 || positionals.includes(target.name)) && (values.group === undefined || values.group === target.group);
}

async function measure(benchmark: Benchmark, wanted: readonly Target[]): Promise<Result[]> {
  const { ratios, remarks = {}, figures } = await benchmark.run({ quick: values.quick === true });
  return wanted.map((each) => {
    const { name, group } = each;
    const ratio = ratios[name];
    if (ratio === undefined) throw new Error(`The benchmark did not measure ${name}.`);
    return { name, group, ratio, target: targetText(each), holds: isReached(each, ratio), remark: remarks[name], figures };
  });
}

function show(result: Result): void {
  if (values.json) return console.log(JSON.stringify(result));
  console.log(`${result.holds ? 'holds ' : 'MISSED'} ${result.name}: ${Number(result.ratio.toPrecision(4))} (target ${result.target})`);
  if (result.remark) console.log(`         ${result.remark}`);
  for (const [name, value] of Object.entries(result.figures))
    console.log(`         ${name}: ${typeof value === 'number' ? Number(value.toPrecision(5)).toLocaleString('en') : value}`);
}

const unknown = positionals.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) refuse(`There is no benchmark ${unknown.join(', ')}. There are: ${NAMES.join(', ')}`);
if (values.group !== undefined && !GROUPS.some((group) => group === values.group))
  refuse(`There is no benchmark of a group ${values.group}. There are: ${GROUPS.join(', ')}`);
if (!TARGETS.some(isWanted)) refuse(`No benchmark of the group ${values.group} has one of these names: ${positionals.join(', ')}`);
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
    results: [...kept, ...results.map(({ name, ratio, holds, remark, figures }) => ({ name, ratio, holds, remark, figures }))],
  };
  writeFileSync(file, `${JSON.stringify(saved, null, 2)}\n`);
}
