/**
 * What is killed, frozen or taken away in a run, and how: one part more is a line of PARTS_KILLED, one server more an
 * outage of its ground.
 */
import type { FailPoint } from './fail-points.ts';
import type { Ground } from './ground.ts';
import { positionsOf } from './outcome.ts';
import type { Part, Role } from './roles.ts';
import type { Running } from './running.ts';

interface Kills {
  /** Fail points, taken in turn. */
  when: FailPoint['when'][];
  /** The write, request, or tick at which it comes is drawn from this range, in which positions move. */
  nth: [number, number];
}

/** What the end of a subject finds. */
export interface Struck {
  /** Positions of all tasks together when the subject died. */
  positionsAtKill: number;
  /** Steps that were under way in the task runner when it died. null: it was not the subject. */
  stepsUnderWay: number | null;
}

export interface Subject extends Kills {
  /** Under which results show it. */
  name: string;
  /** So many processes share the tasks; one process of them runs them all. */
  members: number;
  /** Starts what the run needs, and has the subject die and begin anew. */
  strike(running: Running, failPoint: FailPoint): Promise<Struck>;
}

const PARTS_KILLED: Record<Role, Kills> = {
  importer: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  tasks: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [2, 50] },
  projector: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [1, 6] },
  pipeline: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  api: { when: ['before', 'answering', 'after', 'moment'], nth: [10, 60] },
};
/** Steps in which all members together do most of the work. */
const STEPS_OF_ALL = 12;
const OUTAGE: Kills = { when: ['moment'], nth: [5, 80] };

/** All that can be struck there: every part and server where one process runs the tasks, those that bear on sharing where several do. */
export function subjectsOf(ground: Ground): Subject[] {
  const parts = (Object.keys(PARTS_KILLED) as Role[]).map(
    (role): Subject => ({
      name: role,
      members: 1,
      ...PARTS_KILLED[role],
      strike: (running, failPoint) => killPart(running, role, failPoint),
    }),
  );
  return [...parts, ...outagesOf(ground, 1), ...ground.memberCounts.flatMap((members) => subjectsOfMembers(ground, members))];
}

export function outagesOf(ground: Ground, members: number): Subject[] {
  return Object.keys(ground.outages).map((name) => ({
    name: members === 1 ? name : `${name} under ${members} members`,
    members,
    ...OUTAGE,
    strike: (running, { nth }) => strikeServer(running, ground, name, nth),
  }));
}

function subjectsOfMembers(ground: Ground, members: number): Subject[] {
  const { when } = PARTS_KILLED.tasks;
  return [
    {
      name: `one of ${members} members`,
      members,
      when,
      nth: [1, 2 + Math.ceil(STEPS_OF_ALL / members)],
      strike: (running, failPoint) => killPart(running, 'tasks', failPoint),
    },
    { name: `one of ${members} members (frozen)`, members, ...OUTAGE, strike: (running, { nth: at }) => freezeMember(running, at) },
    ...outagesOf(ground, members),
  ];
}

/** Plays all parts but one that is struck: where that is the tasks, all members but one. Facts come last. */
async function playOthers(running: Running, struck: Part | undefined): Promise<void> {
  const inTest: Part[] = ['projector', 'tasks'];
  for (const part of inTest) if (part !== struck || running.members > 1) running.here(part);
  for (let member = struck === 'tasks' ? 2 : 1; member < running.members; member++) running.child('tasks', null);
  await running.shared(running.members);
  if (struck !== 'importer') running.here('importer');
}

async function killPart(running: Running, role: Role, failPoint: FailPoint): Promise<Struck> {
  if (role === 'api') await running.serve(failPoint);
  const child = role === 'api' ? running.server! : running.child(role, failPoint);
  // Else all might be over before it has begun.
  if (role === 'tasks' || role === 'projector') await running.ready(child);
  if (role !== 'pipeline') await playOthers(running, role === 'api' ? undefined : role);
  await running.died(child.process);
  const positionsAtKill = await positionsOf(running.tools);
  const stepsUnderWay = role === 'tasks' ? child.said().split(' ').filter(Boolean).length : null;
  if (role === 'api') await running.serve(null);
  else running.child(role, null);
  return { positionsAtKill, stepsUnderWay };
}

/** Until the others have shared its tasks out among them. */
async function freezeMember(running: Running, nth: number): Promise<Struck> {
  const { process: frozen } = running.child('tasks', null);
  await playOthers(running, 'tasks');
  const positionsAtKill = await running.moved(nth);
  frozen.kill('SIGSTOP');
  try {
    await running.shared(running.members - 1);
  } finally {
    frozen.kill('SIGCONT');
  }
  return { positionsAtKill, stepsUnderWay: null };
}

async function strikeServer(running: Running, { outages, mend }: Ground, name: string, nth: number): Promise<Struck> {
  const outage = outages[name];
  const child = outage.with && running.child(outage.with, { when: 'killed', nth: 0, delayMs: 0 });
  if (child) await running.ready(child);
  await playOthers(running, outage.with);
  const positionsAtKill = await running.moved(nth);
  const back = outage.strike();
  if (child) {
    child.process.kill('SIGKILL');
    running.child(outage.with!, null);
  }
  await running.orFailure(back);
  if (mend) running.mending(mend);
  return { positionsAtKill, stepsUnderWay: null };
}
