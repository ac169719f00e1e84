/**
 * The long form of the crash suite, on any ground: fifty kills of each subject (or $IFLEX_SOAK_KILLS), at other seeds than
 * those of the short form. Subjects take turns, and the results are written after each kill, so that a soak that is
 * stopped early says what it has done; the next one goes on from there. One that was finished is begun anew.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { codeVersion } from '../../infra/code-version.ts';
import { assertWhole } from './crash-tests.ts';
import { type Crash, crash, hasMoved, openArena } from './crashes.ts';
import type { Ground } from './ground.ts';
import type { ScenarioOptions } from './scenario.ts';
import { type Subject, subjectsOf } from './subjects.ts';

/** At the start: files may be changed while it goes on. */
const COMMIT = codeVersion();
const KILLS = Number(process.env.IFLEX_SOAK_KILLS ?? 50);
assert.ok(Number.isInteger(KILLS) && KILLS > 0, 'IFLEX_SOAK_KILLS is a number of kills.');
const SCENARIO = { seed: 2, sites: 4, days: 2 };
/** Soaks beside each other need seeds of their own; their results are entries of one list. */
const FIRST_SEED = Number(process.env.IFLEX_SOAK_FIRST_SEED ?? 1_000);
assert.ok(Number.isInteger(FIRST_SEED), 'IFLEX_SOAK_FIRST_SEED is a whole number.');

/** What one soak, or as much of it as was done, showed. */
interface Soak {
  commit: string;
  scenario: ScenarioOptions;
  firstSeed: number;
  kills: number;
  subjects: Record<string, { kills: number }>;
}

/** `results`: the file that they go to. */
export async function soakCrashes(ground: Ground, results: URL, subjects: readonly Subject[] = subjectsOf(ground)): Promise<void> {
  const arena = await openArena(ground, SCENARIO);
  const before = unfinished(results, subjects);
  const doneBefore = ({ name }: Subject) => before.reduce((sum, soak) => sum + (soak.subjects[name]?.kills ?? 0), 0);
  const firstSeed = Math.max(FIRST_SEED, ...before.map((soak) => soak.firstSeed + roundsOf(soak)));
  const wanted = subjects.reduce((sum, subject) => sum + Math.max(0, KILLS - doneBefore(subject)), 0);
  const crashes: Crash[] = [];
  const writeResults = () => {
    const soak = {
      ...{ commit: COMMIT, scenario: SCENARIO, firstSeed, kills: crashes.length },
      whilePositionsMoved: crashes.filter(hasMoved).length,
      unequal: crashes.filter(({ differences }) => differences.length > 0),
      subjects: Object.fromEntries(subjects.map((subject) => [subject.name, summaryOf(crashes, subject)])),
    };
    writeFileSync(results, `${JSON.stringify({ soaks: [...before, soak] }, null, 2)}\n`);
  };
  for (let round = 0; round < KILLS; round++)
    for (const subject of subjects.filter((each) => doneBefore(each) + round < KILLS)) {
      const seed = firstSeed + round;
      test(`${subject.name} killed (${seed}): rows, ids and answers as in an undisturbed run`, async () => {
        const result = await crash(arena, subject, seed);
        crashes.push(result);
        writeResults();
        const { when, seconds, differences } = result;
        const outcome = differences.length === 0 ? 'equal' : `${differences.length} differ`;
        console.error(`${crashes.length} of ${wanted} kills: ${subject.name} (${seed}, ${when}) ${outcome}, ${seconds.toFixed(1)} s`);
        assertWhole(result);
      });
    }
  test('most kills came while positions moved', () => {
    assert.ok(crashes.filter(hasMoved).length * 2 > crashes.length);
  });
}

/** Earlier soaks of the file, where they have not killed every subject as often as wanted. */
function unfinished(results: URL, subjects: readonly Subject[]): Soak[] {
  if (!existsSync(results)) return [];
  const { soaks } = JSON.parse(readFileSync(results, 'utf8')) as { soaks: Soak[] };
  const done = (name: string) => soaks.reduce((sum, soak) => sum + (soak.subjects[name]?.kills ?? 0), 0);
  return subjects.every(({ name }) => done(name) >= KILLS) ? [] : soaks;
}

const roundsOf = ({ subjects }: Soak) => Math.max(...Object.values(subjects).map(({ kills }) => kills));

function summaryOf(crashes: readonly Crash[], { name: subject, when: points }: Subject) {
  const of = crashes.filter((each) => each.subject === subject);
  const steps = of.map(({ stepsUnderWay }) => stepsUnderWay).filter((count) => count !== null);
  const sum = (count: (each: Crash) => number) => of.reduce((total, each) => total + count(each), 0);
  return {
    kills: of.length,
    at: Object.fromEntries(points.map((when) => [when, of.filter((each) => each.when === when).length])),
    whilePositionsMoved: of.filter(hasMoved).length,
    ...(steps.length > 0 && { mostStepsUnderWay: Math.max(...steps) }),
    ...(subject === 'api' && { answers: sum(({ answers }) => answers) }),
    ...(subject.startsWith('broker') && { transactionsEndedByHand: sum(({ mended }) => mended) }),
    seconds: Math.round(sum(({ seconds }) => seconds)),
  };
}
