/**
 * Kills one part of a running pipeline, or of what it stands on, and lets it begin anew, then compares everything that
 * came out with an undisturbed run: the canonical bytes of all derived events, and all rows. One part more is a line of
 * PARTS_KILLED, one server more an outage of its ground.
 */

import { dropNamespace } from '../../infra/backend.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { type ApiAccess, grantAccess } from './api.ts';
import type { FailPoint } from './fail-points.ts';
import type { Ground } from './ground.ts';
import { type Outcome, outcomeOf, positionsOf } from './outcome.ts';
import { openTools, PARTS, type Place, type Role } from './roles.ts';
import { Running, TickCount } from './running.ts';
import { type ScenarioOptions, seededRandom } from './scenario.ts';

interface Kills {
  /** Fail points, taken in turn. */
  when: FailPoint['when'][];
  /** The write, request, or tick at which it comes is drawn from this range, in which positions move. */
  nth: [number, number];
}

const PARTS_KILLED: Record<Role, Kills> = {
  importer: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  tasks: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [2, 50] },
  projector: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [1, 6] },
  pipeline: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  api: { when: ['before', 'answering', 'after', 'moment'], nth: [10, 60] },
};
const OUTAGE: Kills = { when: ['moment'], nth: [5, 80] };

export interface Crash {
  /** A role, or an outage of the ground. */
  subject: string;
  seed: number;
  when: FailPoint['when'];
  nth: number;
  /** Positions of all tasks together when the subject died, and at the end. */
  positionsAtKill: number;
  positionsAtEnd: number;
  /** Steps that were under way in the task runner when it died: at most so many are done again. null: it was not the subject. */
  stepsUnderWay: number | null;
  /** Transactions that had to be ended by hand. */
  mended: number;
  /** Whole answers that the API gave, before and after its end. */
  answers: number;
  seconds: number;
  /** What differs from the undisturbed run; empty where nothing does. */
  differences: string[];
}

export interface Arena {
  ground: Ground;
  place: Omit<Place, 'namespace'>;
  access: ApiAccess;
  reference: Outcome;
  /** Ticks by partition, which come last: by them the test knows that all facts are in. */
  ticks: readonly number[];
}

/** A run takes seconds, on a busy machine some dozens of them; one that takes this long hangs. */
const RUN_LIMIT_MS = 5 * MINUTE_MS;

/** All that can be killed there, and at which points. */
export function subjectsOf({ outages }: Ground): Map<string, FailPoint['when'][]> {
  const parts = Object.entries(PARTS_KILLED).map(([role, { when }]) => [role, when] as const);
  return new Map([...parts, ...Object.keys(outages).map((name) => [name, OUTAGE.when] as const)]);
}

export function hasMoved({ positionsAtKill, positionsAtEnd }: Crash): boolean {
  return positionsAtKill > 0 && positionsAtKill < positionsAtEnd;
}

export async function openArena(ground: Ground, scenario: ScenarioOptions): Promise<Arena> {
  const { backend, speed } = ground;
  const place = { backend, scenario, speed };
  const arena: Arena = { ground, place, access: await grantAccess(backend.url), reference: new Map(), ticks: [] };
  const run = await runIn(arena, `reference_${process.pid}`, async (running) => {
    await running.serve(null);
    for (const part of PARTS) running.here(part);
    await running.imported();
    arena.ticks = await new TickCount(running.tools.log).look();
  });
  arena.reference = run.outcome;
  return arena;
}

/** One run with one kill. */
export async function crash(arena: Arena, subject: string, seed: number): Promise<Crash> {
  const random = seededRandom(seed * 7919 + 17);
  const { when: points, nth: range } = PARTS_KILLED[subject as Role] ?? OUTAGE;
  const when = points[seed % points.length];
  const nth = range[0] + Math.floor(random() * (range[1] - range[0]));
  const failPoint: FailPoint = { when, nth, delayMs: Math.floor(random() * 8) };
  const started = performance.now();
  const found = { positionsAtKill: 0, stepsUnderWay: null as number | null };
  const run = await runIn(arena, `crash_${subject.toLowerCase().replace(/\W+/g, '_')}_${seed}_${process.pid}`, async (running) => {
    if (subject in arena.ground.outages) found.positionsAtKill = await strike(running, arena.ground, subject, nth);
    else Object.assign(found, await killPart(running, subject as Role, failPoint));
    await running.imported();
  });
  const { outcome, positions: positionsAtEnd, answers, mended } = run;
  const seconds = (performance.now() - started) / 1000;
  return { subject, seed, when, nth, ...found, positionsAtEnd, mended, answers, seconds, differences: differencesOf(arena, outcome) };
}

async function killPart(running: Running, role: Role, failPoint: FailPoint): Promise<Pick<Crash, 'positionsAtKill' | 'stepsUnderWay'>> {
  if (role === 'api') await running.serve(failPoint);
  const child = role === 'api' ? running.server! : running.child(role, failPoint);
  // Else all might be over before it has begun.
  if (role === 'tasks' || role === 'projector') await running.ready(child);
  if (role !== 'pipeline') for (const part of PARTS) if (part !== role) running.here(part);
  await running.died(child.process);
  const positionsAtKill = await positionsOf(running.tools);
  const stepsUnderWay = role === 'tasks' ? child.said().split(' ').filter(Boolean).length : null;
  if (role === 'api') await running.serve(null);
  else running.child(role, null);
  return { positionsAtKill, stepsUnderWay };
}

/** Returns the positions at the time. */
async function strike(running: Running, { outages, mend }: Ground, name: string, nth: number): Promise<number> {
  const outage = outages[name];
  const child = outage.with && running.child(outage.with, { when: 'killed', nth: 0, delayMs: 0 });
  if (child) await running.ready(child);
  for (const part of PARTS) if (part !== outage.with) running.here(part);
  await running.appended(nth);
  const positions = await positionsOf(running.tools);
  const back = outage.strike();
  if (child) {
    child.process.kill('SIGKILL');
    running.child(outage.with!, null);
  }
  await running.orFailure(back);
  if (mend) running.mending(mend);
  return positions;
}

function differencesOf({ reference }: Arena, outcome: Outcome): string[] {
  const isAsked = [...outcome.keys()].some((name) => name.startsWith('/'));
  const names = [...reference.keys()].filter((name) => isAsked || !name.startsWith('/'));
  return [...new Set([...names, ...outcome.keys()])].filter((name) => reference.get(name) !== outcome.get(name));
}

async function runIn(
  arena: Arena,
  namespace: string,
  work: (running: Running) => Promise<void>,
): Promise<{ outcome: Outcome; positions: number; answers: number; mended: number }> {
  const place = { ...arena.place, namespace };
  const tools = await openTools(place);
  const running = new Running(arena, place, tools);
  const limit = setTimeout(() => running.fail(new Error(`The run in ${namespace} hangs.`)), RUN_LIMIT_MS);
  try {
    await work(running);
    await running.drained();
    const finalAnswers = await running.finalAnswers();
    await running.stop();
    return {
      outcome: new Map([...(await outcomeOf(tools, place.backend.kafka !== undefined)), ...finalAnswers]),
      positions: await positionsOf(tools),
      answers: running.answers,
      mended: running.mended,
    };
  } finally {
    clearTimeout(limit);
    // Together: parts may wait for a server that does not come back, and give up once the log is closed.
    await Promise.all([running.stop(), tools.close()]);
    await dropNamespace(place.backend, namespace);
  }
}
