/**
 * Kills one part of a running pipeline with SIGKILL and lets it begin anew, then compares everything that came out with
 * an undisturbed run: the canonical bytes of all derived events, and all rows. One subject more is a line of SUBJECTS.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { KeptServer } from '../../infra/engine.ts';
import { untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { dropNamespace } from '../../streams/postgres-log.ts';
import { isConnectionLost } from '../../streams/retry.ts';
import { TOPICS } from '../../streams/topics.ts';
import { canonicalBytes } from '../../streams/verify.ts';
import type { ChildOptions } from './child.ts';
import type { FailPoint } from './fail-points.ts';
import { openTools, type Place, play, ROLES, type Role, type Tools } from './roles.ts';
import { seededRandom } from './scenario.ts';

export type Subject = Role | 'postgres';

/** Fail points of each subject, taken in turn; `nth` is drawn from the range of writes that move positions. */
export const SUBJECTS: Record<Subject, { when: FailPoint['when'][]; nth: [number, number] }> = {
  importer: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  tasks: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [2, 50] },
  projector: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [1, 6] },
  postgres: { when: ['moment'], nth: [5, 80] },
};

export interface Crash {
  subject: Subject;
  seed: number;
  when: FailPoint['when'];
  nth: number;
  /** Positions of all tasks together when the subject died, and at the end. */
  positionsAtKill: number;
  positionsAtEnd: number;
  /** Steps that were under way in the process when it died: at most so many are done again. */
  stepsUnderWay: number;
  seconds: number;
  /** What differs from the undisturbed run; empty where nothing does. */
  differences: string[];
}

/** Digests of all derived events by topic and partition, and of all rows by table. */
export type Outcome = Map<string, string>;

export interface Arena {
  server: KeptServer;
  place: Omit<Place, 'namespace'>;
  reference: Outcome;
}

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));
/** A run takes seconds; one that takes this long hangs. */
const RUN_LIMIT_MS = 2 * MINUTE_MS;

export async function openArena(server: KeptServer, place: Omit<Place, 'namespace' | 'url'>): Promise<Arena> {
  const arena = { server, place: { ...place, url: server.server().url }, reference: new Map() as Outcome };
  const run = await runIn(arena, `reference_${process.pid}`, async (running) => {
    for (const role of ROLES) running.here(role);
    await running.imported();
  });
  arena.reference = run.outcome;
  return arena;
}

/** One run with one kill. */
export async function crash(arena: Arena, subject: Subject, seed: number): Promise<Crash> {
  const random = seededRandom(seed * 7919 + 17);
  const { when: points, nth: range } = SUBJECTS[subject];
  const when = points[seed % points.length];
  const nth = range[0] + Math.floor(random() * (range[1] - range[0]));
  const failPoint: FailPoint = { when, nth, delayMs: Math.floor(random() * 8) };
  const started = performance.now();
  let positionsAtKill = 0;
  let stepsUnderWay = 0;
  const { outcome, positions } = await runIn(arena, `crash_${subject}_${seed}_${process.pid}`, async (running) => {
    for (const role of ROLES) if (role !== subject) running.here(role);
    if (subject === 'postgres') {
      await running.appended(nth);
      positionsAtKill = await positionsOf(running.tools);
      process.kill(arena.server.server().serverPid, 'SIGKILL');
    } else {
      const child = running.child(subject, failPoint);
      await running.died(child.process);
      positionsAtKill = await positionsOf(running.tools);
      stepsUnderWay = child.underWay();
      running.child(subject, null);
    }
    await running.imported();
  });
  const differences = [...new Set([...arena.reference.keys(), ...outcome.keys()])].filter(
    (name) => arena.reference.get(name) !== outcome.get(name),
  );
  const seconds = (performance.now() - started) / 1000;
  return { subject, seed, when, nth, positionsAtKill, positionsAtEnd: positions, stepsUnderWay, seconds, differences };
}

/** What a run is made of: roles in this process and in children, all of which end with it. */
class Running {
  readonly tools: Tools;
  private readonly place: Place;
  private readonly stopping = new AbortController();
  private readonly parts: Promise<unknown>[] = [];
  private readonly children: ChildProcess[] = [];
  private importing: Promise<unknown> = Promise.resolve();
  private fail: (error: unknown) => void = () => {};
  /** Rejects where a part ends that should not have. */
  readonly failed = new Promise<never>((_, reject) => {
    this.fail = reject;
  });

  constructor(place: Place, tools: Tools) {
    this.place = place;
    this.tools = tools;
    this.failed.catch(() => {});
  }

  here(role: Role): void {
    const part = play(role, this.tools, this.place, this.stopping.signal);
    part.catch(this.fail);
    this.parts.push(part);
    if (role === 'importer') this.importing = part;
  }

  child(role: Role, failPoint: FailPoint | null): { process: ChildProcess; underWay(): number } {
    const options: ChildOptions = { role, place: this.place, failPoint };
    const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
    let reported = '';
    child.stdio[3]!.on('data', (text) => {
      reported = (reported + text).slice(-1_000);
    });
    const ended = once(child, 'close').then(([code, signal]) => {
      if (failPoint === null && code !== 0) throw new Error(`The ${role} ended with ${code ?? signal}.`);
    });
    ended.catch(this.fail);
    this.parts.push(ended);
    this.children.push(child);
    if (role === 'importer') this.importing = ended;
    return { process: child, underWay: () => reported.trimEnd().split('\n').at(-1)!.split(' ').filter(Boolean).length };
  }

  async died(child: ChildProcess): Promise<void> {
    const [code, signal] = await Promise.race([once(child, 'close'), this.failed]);
    if (signal !== 'SIGKILL') throw new Error(`The process ended with ${code ?? signal} before its fail point.`);
  }

  /** Resolves once the importer has appended to ticks so many times. */
  async appended(ticks: number): Promise<void> {
    while (Math.max(...(await this.tools.log.endOffsets('ticks'))) < ticks) await this.tools.log.waitForAppend(50);
  }

  async imported(): Promise<void> {
    await Promise.race([this.importing, this.failed]);
  }

  async drained(): Promise<void> {
    const { log, store } = this.tools;
    await Promise.race([untilDrained({ log, store, processors: TOPOLOGY, signal: this.stopping.signal }), this.failed]);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const child of this.children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await Promise.allSettled(this.parts);
  }
}

async function runIn(
  { place }: Pick<Arena, 'place'>,
  namespace: string,
  work: (running: Running) => Promise<void>,
): Promise<{ outcome: Outcome; positions: number }> {
  const tools = await openTools({ ...place, namespace });
  const running = new Running({ ...place, namespace }, tools);
  const limit = setTimeout(() => void running.stop(), RUN_LIMIT_MS);
  try {
    await work(running);
    await running.drained();
    await running.stop();
    return { outcome: await outcomeOf(tools), positions: await positionsOf(tools) };
  } finally {
    clearTimeout(limit);
    await running.stop();
    await tools.close();
    await dropNamespace(place.url, namespace);
  }
}

async function positionsOf({ log }: Tools): Promise<number> {
  let sum = 0;
  try {
    for (let partition = 0; partition < PARTITION_COUNT; partition++)
      for (const offset of Object.values(await log.taskPositions(partition))) sum += offset;
  } catch (error) {
    if (!isConnectionLost(error)) throw error;
  }
  return sum;
}

/** Derived topics, and the reloaded days, which the task takes as facts. */
const COMPARED = TOPICS.filter(({ kind, draft, name }) => !draft && name !== 'runs' && (kind === 'derived' || name === 'day.reloaded'));

async function outcomeOf({ log, codec, store }: Tools): Promise<Outcome> {
  const outcome: Outcome = new Map();
  for (const { name: topic } of COMPARED)
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const all: Buffer[] = [];
      for (let offset = 0; ; ) {
        const { records, nextOffset } = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: 8 * 1024 * 1024 });
        if (nextOffset === offset) break;
        for (const record of records) all.push(canonicalBytes(record, (id) => codec.fingerprintOf(id)));
        offset = nextOffset;
      }
      outcome.set(`${topic}/${partition}`, `${all.length} ${hash('sha256', Buffer.concat(all))}`);
    }
  for (const table of PROJECTIONS.flatMap(({ tables }) => tables)) {
    // Points are numbered as they come, which differs from run to run: they are compared by their names.
    const { rows } = await store.pool.query(
      `SELECT count(*)::int AS count, md5(string_agg(line, E'\\n' ORDER BY line)) AS digest FROM (
        SELECT (to_jsonb(t) - 'point_ref')::text || coalesce((SELECT site_id || ' ' || point_id FROM point_ref r
          WHERE r.point_ref = (to_jsonb(t) ->> 'point_ref')::int), '') AS line FROM ${table} t) lines`,
    );
    outcome.set(table, `${rows[0].count} ${rows[0].digest}`);
  }
  return outcome;
}
