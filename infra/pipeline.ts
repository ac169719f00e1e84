/** Composition root: log, registry, tasks, projections and the reload adapter of one namespace, in one process. */
import { hash } from 'node:crypto';
import type pg from 'pg';
import { TOPOLOGY } from '../processors/topology.ts';
import { reloadDays } from '../projections/day-reload.ts';
import { PROJECTIONS } from '../projections/list.ts';
import { isCaughtUp, project } from '../projections/project.ts';
import { type Build, openProjections, type ProjectionStore } from '../projections/store.ts';
import type { Codec } from '../schemas/codec.ts';
import { IflexError } from '../streams/errors.ts';
import type { EventLog } from '../streams/event-log.ts';
import * as limits from '../streams/limits.ts';
import { openClient } from '../streams/postgres.ts';
import { openPostgresLog } from '../streams/postgres-log.ts';
import type { Processor } from '../streams/processor.ts';
import { type Running, runTasks } from '../streams/run.ts';
import { openRegistry } from '../streams/schema-registry.ts';

export interface PipelineOptions {
  url: string;
  namespace: string;
  codeVersion: string;
  processors?: readonly Processor[];
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

/** Everything whose change gives other results with the same code: the limits. */
export function configurationHash(): string {
  return hash('sha256', JSON.stringify(limits)).slice(0, 16);
}

export async function startPipeline({ url, namespace, codeVersion, processors = TOPOLOGY }: PipelineOptions): Promise<Pipeline> {
  const lock = await lockNamespace(url, namespace);
  const log = await openPostgresLog({ url, namespace });
  const codec = await openRegistry(url, namespace);
  const store = await openProjections(url, namespace, codec);
  const builds: Build[] = [];
  for (const projection of PROJECTIONS) builds.push(await store.openBuild(projection));
  const stopping = new AbortController();
  const { signal } = stopping;
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const running = runTasks({ log, codec, processors, codeVersion, configurationHash: configurationHash(), signal, onFailure: fail });
  const build = (name: string) => builds.find(({ projection }) => projection.name === name)!;
  const parts = [
    running.stopped,
    project(log, store, builds, signal),
    reloadDays({ log, codec, store, sites: build('sites'), series: build('series'), dayIndex: build('day-index'), signal }),
  ];
  for (const part of parts) part.catch(fail);
  const stop = async () => {
    stopping.abort();
    await Promise.allSettled(parts);
    await Promise.all([log.close(), store.close(), lock.end()]);
  };
  return { log, codec, store, builds, running, failed, drained: () => Promise.race([drained(log, running, builds), failed]), stop };
}

/** One pipeline a namespace: a second one is refused while the first holds its session. */
export async function lockNamespace(url: string, namespace: string): Promise<pg.Client> {
  const client = await openClient(url, `pipeline ${namespace}`);
  const { rows } = await client.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken', [`iflex pipeline ${namespace}`]);
  if (rows[0].taken) return client;
  await client.end();
  throw new IflexError(
    'PIPELINE_ALREADY_RUNNING',
    `Another process runs the pipeline of the namespace "${namespace}". Stop it first, or use another --namespace.`,
  );
}

async function drained(log: EventLog, running: Running, builds: readonly Build[]): Promise<void> {
  for (;;) {
    if ((await tasksAreDone(log, running)) && (await reloadsAreDone(log)) && (await tasksAreDone(log, running))) {
      const caughtUp = await Promise.all(builds.map((build) => isCaughtUp(log, build)));
      if (caughtUp.every(Boolean)) return;
    }
    await log.waitForAppend(20);
  }
}

async function tasksAreDone(log: EventLog, running: Running): Promise<boolean> {
  const topics = running.tasks[0].inputTopics;
  const ends = await Promise.all(topics.map((topic) => log.endOffsets(topic)));
  for (const { partition } of running.tasks) {
    const positions = await log.taskPositions(partition);
    if (topics.some((topic, i) => (positions[topic] ?? 0) < ends[i][partition])) return false;
  }
  return true;
}

async function reloadsAreDone(log: EventLog): Promise<boolean> {
  const [requested, answered] = await Promise.all([log.endOffsets('revisions.requested'), log.endOffsets('day.reloaded')]);
  return requested.every((end, partition) => answered[partition] >= end);
}
