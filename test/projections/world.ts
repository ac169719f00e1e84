/** A log with a store of projections and the current build of one, for tests. */
import type { Projection } from '../../projections/projection.ts';
import { type Build, openProjections, type ProjectionStore } from '../../projections/store.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import type { TestEngine } from '../engine.ts';

export interface World {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  build: Build;
}

/** `again` opens one more store on the same namespace. */
export async function withProjection(
  engine: Pick<TestEngine, 'url' | 'namespace'>,
  projection: Projection,
  work: (world: World, again: () => Promise<ProjectionStore>) => Promise<void>,
): Promise<void> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  const codec = await openRegistry(engine.url, namespace);
  const stores: ProjectionStore[] = [];
  const open = async () => {
    stores.push(await openProjections(engine.url, namespace, codec));
    return stores.at(-1)!;
  };
  try {
    const store = await open();
    await work({ log, codec, store, build: await store.openBuild(projection) }, open);
  } finally {
    await Promise.all([log.close(), ...stores.map((store) => store.close())]);
  }
}

export async function advanceAll({ log, store, build }: Pick<World, 'log' | 'store' | 'build'>): Promise<void> {
  while ((await store.advance(log, build)) > 0);
}

export async function rowsOf({ store }: Pick<World, 'store'>, sql: string): Promise<unknown[]> {
  return (await store.pool.query(sql)).rows;
}
