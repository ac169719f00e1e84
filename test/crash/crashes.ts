/**
 * Kills one part of a running pipeline, or of what it stands on, and lets it begin anew, then compares everything that
 * came out with an undisturbed run: the canonical bytes of all derived events, and all rows.
 */
import { dropNamespace } from '../../infra/backend.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { type ApiAccess, grantAccess } from './api.ts';
import type { FailPoint } from './fail-points.ts';
import type { Ground } from './ground.ts';
import { type Outcome, outcomeOf, positionsOf } from './outcome.ts';
import { openTools, PARTS, type Place } from './roles.ts';
import { Running, TickCount } from './running.ts';
import { type ScenarioOptions, seededRandom } from './scenario.ts';
import type { Struck, Subject } from './subjects.ts';

export interface Crash extends Struck {
  /** By name. */
  subject: string;
  seed: number;
  when: FailPoint['when'];
  nth: number;
  positionsAtEnd: number;
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
  place: Omit<Place, 'namespace' | 'members'>;
  access: ApiAccess;
  reference: Outcome;
  /** Ticks by partition, which come last: by them the test knows that all facts are in. */
  ticks: readonly number[];
}

/** Names of namespaces have a bound. */
const MAX_SUBJECT_IN_NAME = 20;
/** A run takes seconds, on a busy machine some dozens of them; one that takes this long hangs. */
const RUN_LIMIT_MS = 5 * MINUTE_MS;

export function hasMoved({ positionsAtKill, positionsAtEnd }: Crash): boolean {
  return positionsAtKill > 0 && positionsAtKill < positionsAtEnd;
}

export async function openArena(ground: Ground, scenario: ScenarioOptions): Promise<Arena> {
  const { backend, speed } = ground;
  const place = { backend, scenario, speed };
  const arena: Arena = { ground, place, access: await grantAccess(backend.url), reference: new Map(), ticks: [] };
  const run = await runIn(arena, { namespace: `reference_${process.pid}`, members: 1 }, async (running) => {
    await running.serve(null);
    for (const part of PARTS) running.here(part);
    await running.imported();
    arena.ticks = await new TickCount(running.tools.log).look();
  });
  arena.reference = run.outcome;
  return arena;
}

/** One run in which the subject is struck once. */
export async function crash(
  arena: Arena,
  { name: subject, members, when: points, nth: range, strike }: Subject,
  seed: number,
): Promise<Crash> {
  const random = seededRandom(seed * 7919 + 17);
  const when = points[seed % points.length];
  const nth = range[0] + Math.floor(random() * (range[1] - range[0]));
  const failPoint: FailPoint = { when, nth, delayMs: Math.floor(random() * 8) };
  const started = performance.now();
  let struck: Struck = { positionsAtKill: 0, stepsUnderWay: null };
  const namespace = `crash_${subject.toLowerCase().replace(/\W+/g, '_').slice(0, MAX_SUBJECT_IN_NAME)}_${seed}_${process.pid}`;
  const run = await runIn(arena, { namespace, members }, async (running) => {
    struck = await strike(running, failPoint);
    await running.imported();
  });
  const { outcome, positions: positionsAtEnd, answers, mended } = run;
  const seconds = (performance.now() - started) / 1000;
  return { subject, seed, when, nth, ...struck, positionsAtEnd, mended, answers, seconds, differences: differencesOf(arena, outcome) };
}

function differencesOf({ reference }: Arena, outcome: Outcome): string[] {
  const isAsked = [...outcome.keys()].some((name) => name.startsWith('/'));
  const names = [...reference.keys()].filter((name) => isAsked || !name.startsWith('/'));
  return [...new Set([...names, ...outcome.keys()])].filter((name) => reference.get(name) !== outcome.get(name));
}

async function runIn(
  arena: Arena,
  at: Pick<Place, 'namespace' | 'members'>,
  work: (running: Running) => Promise<void>,
): Promise<{ outcome: Outcome; positions: number; answers: number; mended: number }> {
  const place = { ...arena.place, ...at };
  const { namespace } = at;
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
