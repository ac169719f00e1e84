/** Composition root: log, registry, tasks, projections and adapters of one namespace, all in one process or shared by several. */
import { hash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { TOPOLOGY } from '../processors/topology.ts';
import { reloadDays } from '../projections/day-reload.ts';
import { PROJECTIONS } from '../projections/list.ts';
import { isCaughtUp, project } from '../projections/project.ts';
import { checkRetention, type RetentionOptions, runRetention } from '../projections/retention.ts';
import { type Build, openProjections, type ProjectionStore } from '../projections/store.ts';
import type { Codec } from '../schemas/codec.ts';
import { type ClockOptions, runClock } from '../streams/adapters/clock.ts';
import type { EventLog, Positions } from '../streams/event-log.ts';
import { kafkaMembership } from '../streams/kafka-membership.ts';
import type { HangingFound } from '../streams/kafka-repair.ts';
import {
  GRACE_MS,
  HOT_MS,
  MAX_CLOCK_LAG_MS,
  MAX_EVENT_BYTES,
  MAX_FUTURE_MS,
  MAX_HOT_READINGS,
  MAX_HOT_SPAN_MS,
  MAX_INTERVAL_MILLI_WH,
  MAX_PENDING_DAYS,
  MAX_POINT_INTERVAL_MS,
  MAX_POINT_SPAN_MS,
  MAX_POINTS_EVER,
  MAX_POINTS_PER_SITE,
  MAX_POWER_W,
  MAX_REGISTER_GAP_MS,
  MAX_SILENCE_MS,
  MAX_VALUE,
  PARTITION_COUNT,
  REJECTED_BYTES_KEPT,
  RELOAD_MAX_WAIT_MS,
  RELOAD_QUIET_MS,
} from '../streams/limits.ts';
import { runMaintenance } from '../streams/maintenance.ts';
import { ALL_PARTITIONS, type Membership, soleMembership } from '../streams/membership.ts';
import { type Processor, topicsOf } from '../streams/processor.ts';
import { REQUESTS } from '../streams/reload-answers.ts';
import { isConnectionLost, keepGoing, linked } from '../streams/retry.ts';
import { type Running, runTasks } from '../streams/run.ts';
import { type Backend, openCodec, openLog } from './backend.ts';
import { lockNamespace, oneAtATime, whileLocked } from './namespace-lock.ts';

/**
 * What a process of a pipeline does: it runs tasks (a share of them where the log is on Kafka); keeps the rows, and drops
 * those that are let go; appends ticks, answers reloads and looks after topics.
 */
export const PIPELINE_ROLES = ['tasks', 'projector', 'adapters'] as const;
export type PipelineRole = (typeof PIPELINE_ROLES)[number];

export interface PipelineOptions extends Backend {
  namespace: string;
  codeVersion: string;
  processors?: readonly Processor[];
  /**
   * What this process does beside others that do the rest, or wait to take over. Default: all, and no other process may do
   * anything. All roles of a log in PostgreSQL are meant so too.
   */
  roles?: readonly PipelineRole[];
  /** With the adapters: appends ticks; default: none. */
  clock?: Pick<ClockOptions, 'nowMs' | 'warn'>;
  /** Is told, of roles that one process has at a time, which this one has and for which it waits. */
  tell?: (line: string) => void;
  /** Span of wall time between two passes of upkeep (ms). */
  maintainEveryMs?: number;
  /** Rows that are let go after a time, and who is told; default: none. */
  retention?: Pick<RetentionOptions, 'kept' | 'tell'>;
  /** Is told of transactions on Kafka that hang, which are ended where that is safe; default: they are left. */
  onHanging?: (found: HangingFound) => void;
}

export interface Pipeline {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  builds: readonly Build[];
  running: Running;
  /** Rejects as soon as a part cannot go on. */
  failed: Promise<never>;
  /** Resolves once all facts are processed, all reloads answered, all derived events projected. */
  drained(): Promise<void>;
  /** Cleanly: steps in flight commit or are dropped, nothing is left half done. */
  stop(): Promise<void>;
}

/** Limits that bear on results or on the form of state; a test holds this list against what the processors import. */
export const DECIDING_LIMITS = {
  PARTITION_COUNT,
  MAX_EVENT_BYTES,
  REJECTED_BYTES_KEPT,
  MAX_FUTURE_MS,
  MAX_CLOCK_LAG_MS,
  HOT_MS,
  GRACE_MS,
  MAX_REGISTER_GAP_MS,
  MAX_SILENCE_MS,
  RELOAD_QUIET_MS,
  RELOAD_MAX_WAIT_MS,
  MAX_PENDING_DAYS,
  MAX_HOT_READINGS,
  MAX_HOT_SPAN_MS,
  MAX_POINT_SPAN_MS,
  MAX_POINT_INTERVAL_MS,
  MAX_POINTS_PER_SITE,
  MAX_POINTS_EVER,
  MAX_POWER_W,
  MAX_INTERVAL_MILLI_WH,
  MAX_VALUE,
};

const DRAIN_POLL_MS = 50;

/** Hash of everything whose change gives other results with the same processors. Limits of an API are not among that. */
export function configurationHash(): string {
  return hash('sha256', JSON.stringify(DECIDING_LIMITS)).slice(0, 16);
}

/** Everything that has to be closed, in the order in which it was opened. */
type Closing = (() => Promise<unknown>)[];

export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const closing: Closing = [];
  try {
    return await openPipeline(options, closing);
  } catch (error) {
    await closeAll(closing);
    throw error;
  }
}

async function closeAll(closing: Closing): Promise<void> {
  for (const close of closing.reverse()) await close();
}

async function openPipeline(options: PipelineOptions, closing: Closing): Promise<Pipeline> {
  const { url, namespace, codeVersion, processors = TOPOLOGY } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  // Who does nothing but look on, as the API does, is in nobody's way.
  if (options.roles?.length !== 0) {
    const lock = await lockNamespace(url, namespace, { isShared: !isAlone(options) });
    closing.push(() => lock.end());
    lock.lost.catch(fail);
  }
  const opened = await oneAtATime(url, `prepare ${namespace}`, () => openParts(options, closing));
  const { log, codec, store, builds } = opened;
  const membership = membershipOf(options);
  const running = runTasks({
    log,
    codec,
    processors,
    codeVersion,
    membership,
    configurationHash: configurationHash(),
    signal,
    onFailure: fail,
  });
  const parts = [running.stopped, ...worksOf(options, opened).map(([role, works]) => inRole(options, role, works, signal))];
  for (const part of parts) part.catch(fail);
  closing.push(() => {
    stopping.abort();
    return Promise.allSettled(parts);
  });
  const drained = () => Promise.race([untilDrained({ log, store, processors, signal }), failed]);
  return { log, codec, store, builds, running, failed, drained, stop: () => closeAll(closing) };
}

type Opened = Pick<Pipeline, 'log' | 'codec' | 'store' | 'builds'>;

/** Makes what is not there yet. */
async function openParts(options: PipelineOptions, closing: Closing): Promise<Opened> {
  const { url, namespace, retention, onHanging } = options;
  const log = await openLog(options, namespace, rolesOf(options).length > 0 ? onHanging : undefined);
  closing.push(() => log.close());
  const codec = await openCodec(options, namespace);
  const store = await openProjections(url, namespace, codec);
  closing.push(() => store.close());
  const builds: Build[] = [];
  for (const projection of PROJECTIONS) builds.push(await store.openBuild(projection));
  if (retention && rolesOf(options).includes('projector')) await checkRetention(store, retention.kept);
  return { log, codec, store, builds };
}

function rolesOf({ roles = PIPELINE_ROLES }: PipelineOptions): readonly PipelineRole[] {
  return roles;
}

/** Whether this process does everything and no other one may do anything. */
function isAlone({ roles, kafka }: PipelineOptions): boolean {
  return roles === undefined || (kafka === undefined && PIPELINE_ROLES.every((role) => roles.includes(role)));
}

/** Which tasks this process runs. In PostgreSQL one process runs all of them, as one log writes to one disk. */
function membershipOf(options: PipelineOptions): Membership {
  const { url, namespace, kafka, tell = () => {} } = options;
  if (!rolesOf(options).includes('tasks')) return soleMembership([]);
  const sole = soleMembership(ALL_PARTITIONS);
  if (isAlone(options)) return sole;
  if (kafka) return kafkaMembership(kafka, namespace);
  return {
    isShared: true,
    follow: (crew, signal) => whileLocked({ url, namespace, part: 'tasks', signal, tell }, (locked) => sole.follow(crew, locked)),
  };
}

/** Goes on until the signal. */
type Work = (signal: AbortSignal) => Promise<void>;

/** What each role does that one process has at a time. */
function worksOf(options: PipelineOptions, { log, codec, store, builds }: Opened): [PipelineRole, Work[]][] {
  const { maintainEveryMs: everyMs, retention, clock } = options;
  const works: [PipelineRole, Work[]][] = [
    [
      'projector',
      [
        (signal) => projectAnew(log, store, builds, signal),
        ...(retention ? [(signal: AbortSignal) => runRetention({ log, store, nowMs: Date.now, everyMs, ...retention }, signal)] : []),
      ],
    ],
    [
      'adapters',
      [
        (signal) => reloadDays({ log, codec, store, signal }),
        (signal) => runMaintenance({ log, signal, everyMs }),
        ...(clock ? [(signal: AbortSignal) => runClock({ log, codec, signal, ...clock })] : []),
      ],
    ],
  ];
  return works.filter(([role]) => rolesOf(options).includes(role));
}

/** Does the works of a role, once this process may. */
function inRole(options: PipelineOptions, part: PipelineRole, works: readonly Work[], signal: AbortSignal): Promise<void> {
  const { url, namespace, tell = () => {} } = options;
  const work: Work = (until) => together(works, until);
  return isAlone(options) ? work(signal) : whileLocked({ url, namespace, part, signal, tell }, work);
}

/** Where one fails, all have ended when this throws. */
async function together(works: readonly Work[], signal: AbortSignal): Promise<void> {
  const stopping = linked(signal);
  const parts = works.map(async (work) => {
    try {
      await keepGoing(stopping.signal, () => work(stopping.signal));
    } catch (error) {
      stopping.abort();
      throw error;
    }
  });
  await Promise.allSettled(parts);
  await Promise.all(parts);
}

/** Begins where the database says: a commit whose connection broke may or may not have come to be. */
export async function projectAnew(log: EventLog, store: ProjectionStore, builds: readonly Build[], signal: AbortSignal): Promise<void> {
  for (const build of builds) Object.assign(build, await store.openBuild(build.projection));
  await project(log, store, builds, signal);
}

export interface Draining {
  log: EventLog;
  store: ProjectionStore;
  processors: readonly Processor[];
  signal: AbortSignal;
}

/** Resolves once all facts are processed, all reloads answered, all derived events projected, whichever process does it. */
export async function untilDrained({ log, store, processors, signal }: Draining): Promise<void> {
  while (!signal.aborted) {
    try {
      if ((await isQuiet(log, processors)) && (await isCaughtUp(log, store, PROJECTIONS))) return;
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
    }
    await pause(DRAIN_POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * Whether nothing is under way: all facts are processed and all requests answered. Positions only ascend, so where all
 * ends were the same before and after the look at the tasks, they were so at one moment in between, when nobody had
 * anything left from which more could come.
 */
async function isQuiet(log: EventLog, processors: readonly Processor[]): Promise<boolean> {
  const { inputs, outputs } = topicsOf(processors);
  const before = await endsOf(log, [...inputs, ...outputs]);
  const reads = outputs.includes(REQUESTS) ? [...inputs, REQUESTS] : inputs;
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const positions = await log.taskPositions(partition);
    // A task's position in the requests is after the one whose answer it took last.
    const behind = reads.filter((topic) => (positions[topic] ?? 0) < before.get(topic)![partition]);
    if (behind.length > 0 && (await hasRecords(log, partition, positions, behind))) return false;
  }
  const after = await endsOf(log, [...inputs, ...outputs]);
  return [...before].every(([topic, ends]) => ends.every((end, partition) => after.get(topic)![partition] === end));
}

/**
 * Whether anything stands after the positions: what is left before an end may be nothing but holes. Read one by one, as a
 * consistent look may hold back what is there.
 */
async function hasRecords(log: EventLog, partition: number, positions: Positions, topics: readonly string[]): Promise<boolean> {
  const one = { maxRecords: 1, maxBytes: 1 };
  const results = await Promise.all(topics.map((topic) => log.read({ topic, partition }, positions[topic] ?? 0, one)));
  return results.some(({ records }) => records.length > 0);
}

async function endsOf(log: EventLog, topics: readonly string[]): Promise<Map<string, number[]>> {
  const ends = await Promise.all(topics.map((topic) => log.endOffsets(topic)));
  return new Map(topics.map((topic, i) => [topic, ends[i]]));
}
