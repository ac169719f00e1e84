/**
 * Kills one part of a running pipeline with SIGKILL and lets it begin anew, then compares everything that came out with
 * an undisturbed run: the canonical bytes of all derived events, and all rows. One subject more is a line of SUBJECTS.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type KeptServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { dropNamespace } from '../../streams/postgres-log.ts';
import { isConnectionLost } from '../../streams/retry.ts';
import { TOPICS } from '../../streams/topics.ts';
import { canonicalBytes } from '../../streams/verify.ts';
import { type ApiAccess, ask, grantAccess, questionsOf } from './api.ts';
import type { ChildOptions } from './child.ts';
import type { FailPoint } from './fail-points.ts';
import { openBuilds, openTools, PARTS, type Part, type Place, play, type Role, type Tools } from './roles.ts';
import { seededRandom } from './scenario.ts';

export type Subject = Role | 'postgres';

/** Fail points of each subject, taken in turn; `nth` is drawn from the range of writes (or requests) while positions move. */
export const SUBJECTS: Record<Subject, { when: FailPoint['when'][]; nth: [number, number] }> = {
  importer: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  tasks: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [2, 50] },
  projector: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [1, 6] },
  pipeline: { when: ['before', 'committing', 'aborted', 'after', 'moment'], nth: [3, 16] },
  api: { when: ['before', 'answering', 'after', 'moment'], nth: [10, 60] },
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
  /** Steps that were under way in the task runner when it died: at most so many are done again. null: it was not the subject. */
  stepsUnderWay: number | null;
  /** Whole answers that the API gave, before and after its end. */
  answers: number;
  seconds: number;
  /** What differs from the undisturbed run; empty where nothing does. */
  differences: string[];
}

/** Digests of all derived events by topic and partition, of all rows by table, and of what the API answers. */
export type Outcome = Map<string, string>;

export interface Arena {
  server: KeptServer;
  place: Omit<Place, 'namespace'>;
  access: ApiAccess;
  reference: Outcome;
  /** Ends of the ticks, which come last: by them the test knows that all facts are in. */
  tickEnds: number[];
}

/** Types are stripped once, not in every child. */
const ENV = { ...process.env, NODE_COMPILE_CACHE: join(PROJECT_FOLDER, 'node_modules', '.cache', 'compiled') };
const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));
/** A run takes seconds, on a busy machine some dozens of them; one that takes this long hangs. */
const RUN_LIMIT_MS = 5 * MINUTE_MS;

export async function openArena(server: KeptServer, place: Omit<Place, 'namespace' | 'url'>): Promise<Arena> {
  const { url } = server.server();
  const arena: Arena = { server, place: { ...place, url }, access: await grantAccess(url), reference: new Map(), tickEnds: [] };
  const run = await runIn(arena, `reference_${process.pid}`, async (running) => {
    await running.serve(null);
    for (const part of PARTS) running.here(part);
    await running.imported();
    arena.tickEnds = await running.tools.log.endOffsets('ticks');
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
  const result: Crash = {
    ...{ subject, seed, when, nth, positionsAtKill: 0, positionsAtEnd: 0 },
    ...{ stepsUnderWay: null, answers: 0, seconds: 0, differences: [] },
  };
  const { outcome, positions, answers } = await runIn(arena, `crash_${subject}_${seed}_${process.pid}`, async (running) => {
    if (subject === 'api') await running.serve(failPoint);
    if (subject !== 'pipeline') for (const part of PARTS) if (part !== subject) running.here(part);
    if (subject === 'postgres') {
      await running.appended(nth);
      result.positionsAtKill = await positionsOf(running.tools);
      process.kill(arena.server.server().serverPid, 'SIGKILL');
    } else {
      const child = subject === 'api' ? running.server! : running.child(subject, failPoint);
      await running.died(child.process);
      result.positionsAtKill = await positionsOf(running.tools);
      if (subject === 'tasks') result.stepsUnderWay = child.said().split(' ').filter(Boolean).length;
      if (subject === 'api') await running.serve(null);
      else running.child(subject, null);
    }
    await running.imported();
  });
  const names = subject === 'api' ? arena.reference.keys() : [...arena.reference.keys()].filter((name) => !name.startsWith('/'));
  for (const name of new Set([...names, ...outcome.keys()]))
    if (arena.reference.get(name) !== outcome.get(name)) result.differences.push(name);
  return { ...result, positionsAtEnd: positions, answers, seconds: (performance.now() - started) / 1000 };
}

interface Child {
  process: ChildProcess;
  /** The last line of its report. */
  said(): string;
}

/** What a run is made of: parts in this process and in children, all of which end with it. */
class Running {
  readonly tools: Tools;
  server: Child | undefined;
  answers = 0;
  private readonly arena: Arena;
  private readonly place: Place;
  private readonly stopping = new AbortController();
  private readonly parts: Promise<unknown>[] = [];
  private readonly children: ChildProcess[] = [];
  private port = 0;
  /** Whether the API listens. */
  private up = Promise.withResolvers<void>();
  private importing: Promise<unknown> | undefined;
  /** Ends the run with an error. */
  fail: (error: unknown) => void = () => {};
  /** Rejects where a part ends that should not have. */
  readonly failed = new Promise<never>((_, reject) => {
    this.fail = reject;
  });

  constructor(arena: Arena, place: Place, tools: Tools) {
    this.arena = arena;
    this.place = place;
    this.tools = tools;
    this.failed.catch(() => {});
  }

  private add(part: Promise<unknown>): void {
    part.catch(this.fail);
    this.parts.push(part);
  }

  here(part: Part): void {
    const playing = play(part, this.tools, this.place, this.stopping.signal);
    this.add(playing);
    if (part === 'importer') this.importing = playing;
  }

  child(role: Role, failPoint: FailPoint | null): Child {
    const options: ChildOptions = { role, place: this.place, failPoint, api: { port: this.port, secret: this.arena.access.secret } };
    const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'], env: ENV });
    let reported = '';
    child.stdio[3]!.on('data', (text) => {
      reported = (reported + text).slice(-1_000);
    });
    const ended = once(child, 'close').then(([code, signal]) => {
      if (failPoint === null && code !== 0) throw new Error(`The ${role} ended with ${code ?? signal}.`);
    });
    this.add(ended);
    this.children.push(child);
    if (role === 'importer') this.importing = ended;
    return { process: child, said: () => reported.trimEnd().split('\n').at(-1)! };
  }

  /** Starts the API, the second time at the same address, and asks it on and on until the run ends. */
  async serve(failPoint: FailPoint | null): Promise<void> {
    // Before a pipeline has run once, there is nothing to serve.
    if (!this.server) await openBuilds(this.tools.store, this.stopping.signal);
    const child = this.child('api', failPoint);
    child.process.once('close', () => {
      this.up = Promise.withResolvers();
    });
    this.server = child;
    await Promise.race([once(child.process.stdio[3]!, 'data'), this.failed]);
    const again = this.port > 0;
    this.port = Number(child.said());
    this.up.resolve();
    if (!again) this.add(this.askOnAndOn());
  }

  private async askOnAndOn(): Promise<void> {
    const questions = questionsOf(this.place);
    const { signal } = this.stopping;
    const stopped = once(signal, 'abort');
    for (let i = 0; ; i++) {
      await Promise.race([this.up.promise, stopped]);
      if (signal.aborted) return;
      const question = questions[i % questions.length];
      const { process } = this.server!;
      try {
        const answer = await ask(this.port, this.arena.access, question);
        // A site or point that is not declared yet is not found.
        if (!/^(200|404) /.test(answer)) throw new Error(`${question}: ${answer.slice(0, 500)}`);
        this.answers++;
      } catch (error) {
        if (!isBroken(error)) throw error;
        // Connections end a moment before this process hears that the other one has.
        if (process.exitCode === null && process.signalCode === null) await once(process, 'close');
      }
    }
  }

  /** What the API answers now, by question. */
  async finalAnswers(): Promise<Outcome> {
    const answers: Outcome = new Map();
    if (this.server)
      for (const question of questionsOf(this.place)) {
        const answer = await ask(this.port, this.arena.access, question);
        if (!answer.startsWith('200 ')) throw new Error(`${question}: ${answer.slice(0, 500)}`);
        answers.set(question, hash('sha256', answer));
      }
    return answers;
  }

  /**
   * Resolves once the process has died at its fail point. On a busy machine there are fewer and larger writes, so that it may
   * never come there: an importer then has ended, others are killed once all is done.
   */
  async died(child: ChildProcess): Promise<void> {
    const closed = once(child, 'close');
    const late = async () => {
      await this.imported();
      await this.drained();
      child.kill('SIGKILL');
    };
    // Goes on for a while after the process has died, and is of no account then.
    late().catch(() => {});
    const [code, signal] = await Promise.race([closed, this.failed]);
    if (signal !== 'SIGKILL' && code !== 0) throw new Error(`The process ended with ${code ?? signal} before its fail point.`);
  }

  /** Resolves once the importer has appended to ticks so many times. */
  async appended(ticks: number): Promise<void> {
    const { log } = this.tools;
    while (Math.max(...(await log.endOffsets('ticks'))) < ticks) await Promise.race([log.waitForAppend(50), this.failed]);
  }

  async imported(): Promise<void> {
    await Promise.race([this.importing ?? this.ticked(), this.failed]);
  }

  /** Resolves once the last ticks are in, where no importer says so by ending. */
  private async ticked(): Promise<void> {
    const { log } = this.tools;
    const { tickEnds } = this.arena;
    while (!this.stopping.signal.aborted) {
      const ends = await log.endOffsets('ticks');
      if (ends.every((end, partition) => end >= tickEnds[partition])) return;
      await log.waitForAppend(50);
    }
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

/** Ends of connections as fetch tells them: refused, reset, or closed within an answer. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

async function runIn(
  arena: Arena,
  namespace: string,
  work: (running: Running) => Promise<void>,
): Promise<{ outcome: Outcome; positions: number; answers: number }> {
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
      outcome: new Map([...(await outcomeOf(tools)), ...finalAnswers]),
      positions: await positionsOf(tools),
      answers: running.answers,
    };
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
  // Runs differ from run to run, as topic and as rows.
  const compared = PROJECTIONS.filter(({ topics }) => !topics.includes('runs'));
  for (const table of compared.flatMap(({ tables }) => tables)) {
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
