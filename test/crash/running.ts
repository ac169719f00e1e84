/** One run: parts in this process and in children, one of which may be told to die. */
import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { isConnectionLost } from '../../streams/retry.ts';
import { untilShared } from '../streams/task-groups.ts';
import { ask, questionsOf } from './api.ts';
import type { ChildOptions } from './child.ts';
import type { Arena } from './crashes.ts';
import type { FailPoint } from './fail-points.ts';
import type { Ground } from './ground.ts';
import { type Outcome, positionsOf } from './outcome.ts';
import { openBuilds, type Part, type Place, play, type Role, type Tools } from './roles.ts';

/** Types are stripped once, not in every child. */
const ENV = { ...process.env, NODE_COMPILE_CACHE: join(PROJECT_FOLDER, 'node_modules', '.cache', 'compiled') };
const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));
/** A transaction is only held to hang after half a minute, so asking more often finds nothing sooner. */
const MEND_EVERY_MS = 10_000;
const ALL_TICKS = { maxRecords: 10_000, maxBytes: 1024 * 1024 };

export interface Child {
  process: ChildProcess;
  /** The last line of its report. */
  said(): string;
}

/** What a run is made of: parts in this process and in children, all of which end with it. */
export class Running {
  readonly tools: Tools;
  server: Child | undefined;
  answers = 0;
  /** Transactions that had to be ended by hand. */
  mended = 0;
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

  get members(): number {
    return this.place.members ?? 1;
  }

  /** Resolves once so many members have shared the tasks out; where one process runs them all, at once. */
  async shared(members: number): Promise<void> {
    const { namespace, backend } = this.place;
    if (this.members > 1) await untilShared({ settings: backend.kafka!, namespace }, ({ length }) => length === members, this.failed);
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

  /** Resolves once a child can begin. */
  async ready({ process }: Child): Promise<void> {
    await this.orFailure(once(process.stdio[3]!, 'data'));
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
    await this.ready(child);
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
        answers.set(question, hash('sha256', this.place.backend.kafka ? withoutOffsets(answer) : answer));
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

  /** Resolves once a partition has so many ticks and a task has committed a step; gives the positions of all tasks together. */
  async moved(ticks: number): Promise<number> {
    const { tools } = this;
    await this.ticked((counts) => Math.max(...counts) >= ticks);
    for (;;) {
      const positions = await this.orFailure(positionsOf(tools));
      if (positions > 0) return positions;
      await this.orFailure(tools.log.waitForAppend(50));
    }
  }

  async imported(): Promise<void> {
    // Where no importer says so by ending, the last ticks do.
    const allTicks = () => this.ticked((counts) => counts.every((count, partition) => count >= this.arena.ticks[partition]));
    await Promise.race([this.importing ?? allTicks(), this.failed]);
  }

  private async ticked(enough: (counts: readonly number[]) => boolean): Promise<void> {
    const { log } = this.tools;
    const ticks = new TickCount(log);
    const { signal } = this.stopping;
    while (!signal.aborted && !enough(await ticks.look())) await Promise.race([log.waitForAppend(50), this.failed]);
  }

  /** What the work gives, unless a part fails before. */
  orFailure<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.failed]);
  }

  /** Looks after the ground from now on, until the run ends. */
  mending(mend: NonNullable<Ground['mend']>): void {
    const { signal } = this.stopping;
    const mendOnAndOn = async () => {
      while (!signal.aborted) {
        await pause(MEND_EVERY_MS, undefined, { signal }).catch(() => {});
        if (!signal.aborted) this.mended += await mend(this.place.namespace, signal);
      }
    };
    this.add(mendOnAndOn());
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

/** Where records lie is not the same in every run where the ends of transactions are offsets too; nor are tags of such answers. */
function withoutOffsets(answer: string): string {
  return answer.replace(/ "[^"]*"\n/, '\n').replaceAll(/"(offset|nextOffset)":\d+/g, '"$1":0');
}

/** How many ticks each partition has, by reading them: offsets have holes, which differ from run to run. */
export class TickCount {
  private readonly log: EventLog;
  private readonly counts = new Array<number>(PARTITION_COUNT).fill(0);
  private readonly offsets = new Array<number>(PARTITION_COUNT).fill(0);

  constructor(log: EventLog) {
    this.log = log;
  }

  /** As they are now; as they were where the log cannot be reached. */
  async look(): Promise<readonly number[]> {
    try {
      for (let partition = 0; partition < PARTITION_COUNT; partition++) {
        const { records, nextOffset } = await this.log.read({ topic: 'ticks', partition }, this.offsets[partition], ALL_TICKS);
        this.counts[partition] += records.length;
        this.offsets[partition] = nextOffset;
      }
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
    }
    return this.counts;
  }
}

/** Ends of connections as fetch tells them: refused, reset, or closed within an answer. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}
