/**
 * The crash suite with fifty kills of each subject (or $IFLEX_SOAK_KILLS), at other seeds. Subjects take turns, and
 * soak-results.json is written after each kill, so that a soak that is stopped early says what it has done.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { codeVersion } from '../../infra/code-version.ts';
import { defaultStateFolder } from '../../infra/embedded-postgres.ts';
import { keepServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { type Crash, crash, openArena, SUBJECTS, type Subject } from './crashes.ts';

/** At the start: files may be changed while it goes on. */
const COMMIT = codeVersion();
const KILLS = Number(process.env.IFLEX_SOAK_KILLS ?? 50);
assert.ok(Number.isInteger(KILLS) && KILLS > 0, 'IFLEX_SOAK_KILLS is a number of kills.');
const SCENARIO = { seed: 2, sites: 4, days: 2 };
/** Other seeds than those of the short form. */
const FIRST_SEED = 1_000;

const subjects = Object.keys(SUBJECTS) as Subject[];
const server = await keepServer(`${defaultStateFolder(PROJECT_FOLDER)}-crash`);
after(() => server.stop());
const arena = await openArena(server, { scenario: SCENARIO, speed: 200_000 });
const crashes: Crash[] = [];

const moved = ({ positionsAtKill, positionsAtEnd }: Crash) => positionsAtKill > 0 && positionsAtKill < positionsAtEnd;

function summaryOf(subject: Subject) {
  const of = crashes.filter((each) => each.subject === subject);
  const at = Object.fromEntries(SUBJECTS[subject].when.map((when) => [when, of.filter((each) => each.when === when).length]));
  const steps = of.map(({ stepsUnderWay }) => stepsUnderWay).filter((count) => count !== null);
  return {
    kills: of.length,
    at,
    whilePositionsMoved: of.filter(moved).length,
    ...(steps.length > 0 && { mostStepsUnderWay: Math.max(...steps) }),
    ...(subject === 'api' && { answers: of.reduce((sum, { answers }) => sum + answers, 0) }),
    seconds: Math.round(of.reduce((sum, { seconds }) => sum + seconds, 0)),
  };
}

function writeResults(): void {
  const results = {
    commit: COMMIT,
    scenario: SCENARIO,
    firstSeed: FIRST_SEED,
    kills: crashes.length,
    killsWanted: KILLS * subjects.length,
    whilePositionsMoved: crashes.filter(moved).length,
    unequal: crashes.filter(({ differences }) => differences.length > 0),
    subjects: Object.fromEntries(subjects.map((subject) => [subject, summaryOf(subject)])),
  };
  writeFileSync(new URL('soak-results.json', import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + KILLS; seed++)
  for (const subject of subjects)
    test(`${subject} killed (${seed}): rows, ids and answers as in an undisturbed run`, async () => {
      const result = await crash(arena, subject, seed);
      crashes.push(result);
      writeResults();
      const { when, seconds, differences } = result;
      const outcome = differences.length === 0 ? 'equal' : `${differences.length} differ`;
      console.error(
        `${crashes.length} of ${KILLS * subjects.length} kills: ${subject} (${seed}, ${when}) ${outcome}, ${seconds.toFixed(1)} s`,
      );
      assert.deepEqual(differences, [], JSON.stringify(result));
      assert.ok((result.stepsUnderWay ?? 0) <= 2, JSON.stringify(result));
    });

test('most kills came while positions moved', () => {
  assert.ok(crashes.filter(moved).length * 2 > crashes.length);
});
