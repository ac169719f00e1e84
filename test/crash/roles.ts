/** The parts of a pipeline as processes run them, each by itself: what is killed runs in a child, the rest in the test. */
import { once } from 'node:events';
import { type Backend, openCodec, openLog } from '../../infra/backend.ts';
import { configurationHash, type Pipeline, projectAnew, startPipeline } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { reloadDays } from '../../projections/day-reload.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { type Build, openProjections, type ProjectionStore } from '../../projections/store.ts';
import { feed } from '../../replay/facts.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { kafkaMembership } from '../../streams/kafka-membership.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { keepGoing } from '../../streams/retry.ts';
import { runTasks } from '../../streams/run.ts';
import { type ScenarioOptions, scenarioFacts } from './scenario.ts';

/** A part of the pipeline; all parts but the API in one process, as commands run them; or the API (see api.ts). */
export type Role = 'importer' | 'tasks' | 'projector' | 'pipeline' | 'api';
/** Whatever the test itself plays. */
export type Part = Exclude<Role, 'api'>;

export const PARTS = ['importer', 'tasks', 'projector'] as const satisfies readonly Part[];

export interface Place {
  backend: Backend;
  namespace: string;
  scenario: ScenarioOptions;
  /** Event time per wall time of the importer. */
  speed: number;
  /** So many processes share the tasks; default: one runs them all. */
  members?: number;
}

/** What a role works with. Fail points are put around the log and the store, never into them. */
export interface Tools {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  close(): Promise<void>;
}

export async function openTools({ backend, namespace }: Place): Promise<Tools> {
  const log = await openLog(backend, namespace);
  const codec = await openCodec(backend, namespace);
  const store = await openProjections(backend.url, namespace, codec);
  return { log, codec, store, close: async () => void (await Promise.all([log.close(), store.close()])) };
}

/** Runs until its work is done (importer) or until the signal. */
export async function play(role: Part, { log, codec, store }: Tools, place: Place, signal: AbortSignal): Promise<void> {
  if (role === 'importer') return importFacts(log, codec, place, signal);
  if (role === 'pipeline') return playPipeline(log, place, signal);
  if (role === 'tasks') {
    const { backend, namespace, members = 1 } = place;
    const membership = members > 1 ? kafkaMembership(backend.kafka!, namespace) : undefined;
    const run = { log, codec, processors: TOPOLOGY, codeVersion: 'crash', configurationHash: configurationHash() };
    return runTasks({ ...run, membership, signal }).stopped;
  }
  const builds = await openBuilds(store, signal);
  await Promise.all([
    keepGoing(signal, () => projectAnew(log, store, builds, signal)),
    keepGoing(signal, () => reloadDays({ log, codec, store, signal })),
  ]);
}

export async function openBuilds(store: ProjectionStore, signal: AbortSignal): Promise<Build[]> {
  const builds: Build[] = [];
  await keepGoing(signal, async () => {
    for (const projection of PROJECTIONS.slice(builds.length)) builds.push(await store.openBuild(projection));
  });
  return builds;
}

/** The composition root and a feed, as one command; ends with the signal once the facts are in. */
async function playPipeline(log: EventLog, place: Place, signal: AbortSignal): Promise<void> {
  const pipeline = await startAfterAnother(place);
  try {
    await Promise.race([importFacts(log, pipeline.codec, place, signal), pipeline.failed]);
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), pipeline.failed]);
  } finally {
    await pipeline.stop();
  }
}

/** The sessions of one that was killed end a moment later, and its lock with them. */
async function startAfterAnother({ backend, namespace }: Place): Promise<Pipeline> {
  const untilMs = performance.now() + MINUTE_MS;
  for (;;)
    try {
      return await startPipeline({ ...backend, namespace, codeVersion: 'crash' });
    } catch (error) {
      if ((error as { code?: string }).code !== 'PIPELINE_ALREADY_RUNNING' || performance.now() > untilMs) throw error;
    }
}

/** As an import command is used: where it fails, it is run again from the beginning. */
async function importFacts(log: EventLog, codec: Codec, { scenario, speed }: Place, signal: AbortSignal): Promise<void> {
  await keepGoing(signal, async () => {
    await feed({ log, codec, facts: scenarioFacts(scenario), tickMs: 15 * MINUTE_MS, tickSource: 'scenario-ticks', speed, signal });
  });
}
