/**
 * What the schema ids in a log's events mean, kept with the log: so that a registry which gives an id another meaning is
 * found out before anything is written by it.
 */
import type { Codec } from '../schemas/codec.ts';
import { IflexError } from './errors.ts';

/** Fingerprints by schema id, of one namespace. */
export interface RecordedSchemas {
  read(): Promise<ReadonlyMap<number, string>>;
  /** Keeps those whose id has none yet; what an id was recorded with stays, whoever comes first. */
  add(fingerprints: ReadonlyMap<number, string>): Promise<void>;
}

/**
 * Records what each id of the registry means to this log's bytes. Throws SCHEMA_MISMATCH, and records nothing, where the
 * registry means something else by a recorded id, or does not know it.
 */
export async function compareWithRecorded(recorded: RecordedSchemas, codec: Codec): Promise<void> {
  const registered = new Map(codec.registered().map(({ id, fingerprint }) => [id, fingerprint]));
  const before = await recorded.read();
  checkSame(before, registered);
  const added = new Map([...registered].filter(([id]) => !before.has(id)));
  if (added.size === 0) return;
  await recorded.add(added);
  // Another process may have recorded the ids of another registry meanwhile.
  checkSame(await recorded.read(), registered);
}

function checkSame(recorded: ReadonlyMap<number, string>, registered: ReadonlyMap<number, string>): void {
  const wrong = [...recorded].filter(([id, fingerprint]) => registered.get(id) !== fingerprint).map(([id]) => id);
  if (wrong.length === 0) return;
  const ids = wrong.sort((a, b) => a - b).join(', ');
  throw new IflexError(
    'SCHEMA_MISMATCH',
    `The registry gives the schema ids ${ids} another meaning than this log's events have. Restore the registry that belongs to this log.`,
  );
}
