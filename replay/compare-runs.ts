/** What may explain that a replay differs: whether other code, settings, models or schemas had made the events. */
import type { Codec } from '../schemas/codec.ts';
import type { RunStarted } from '../schemas/types.ts';
import type { EventLog } from '../streams/event-log.ts';
import { MAX_BATCH_RECORDS, MAX_STEP_BYTES } from '../streams/limits.ts';
import type { RunDescription } from '../streams/run.ts';
import { differencesBetween } from './compare-events.ts';

/** The `runs` event of an id in a partition, or without an id the latest one; null where there is none. */
export async function recordedRun(log: EventLog, codec: Codec, partition: number, id?: string): Promise<RunStarted | null> {
  let latest: RunStarted | null = null;
  for (let offset = 0; ; ) {
    const { records, nextOffset } = await log.read({ topic: 'runs', partition }, offset, {
      maxRecords: MAX_BATCH_RECORDS,
      maxBytes: MAX_STEP_BYTES,
    });
    for (const record of records)
      if (id === undefined || record.headers.id === id) latest = codec.decodeAs('RunStarted', record.value) as RunStarted;
    if (nextOffset === offset) return latest;
    offset = nextOffset;
  }
}

/** In words, a line each: how the run that made the events differs from what replays them. */
export function describeRunDifferences(recorded: RunStarted | null, now: RunDescription): string[] {
  if (recorded === null) return ['the log does not say which run made the events'];
  const { runId, knownAtMs: _, partition: __, ...then } = recorded;
  // An event from before the schemas were noted says nothing of them.
  const schemas = then.schemas.length === 0 ? [] : now.schemas;
  const differences = differencesBetween({ ...then, schemas: byId(then.schemas) }, { ...now, schemas: byId(schemas) });
  if (differences.length === 0) return [`run ${runId} made the events, with the same code, settings and schemas as this replay`];
  return [
    `run ${runId} made the events, otherwise than this replay:`,
    ...differences.map(({ path, left, right }) => `  ${path}: ${left}, now ${right}`),
  ];
}

function byId(schemas: RunDescription['schemas']): Record<string, string> {
  return Object.fromEntries(schemas.map(({ id, fingerprint }) => [id, fingerprint]));
}
