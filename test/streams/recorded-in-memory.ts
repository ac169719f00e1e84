import type { RecordedSchemas } from '../../streams/recorded-schemas.ts';

/** Keeps what ids mean as a log does: who comes first counts. `meanwhile` comes between a reading and an adding. */
export function recordedInMemory(meanwhile: Iterable<[number, string]> = []): RecordedSchemas & { kept: Map<number, string> } {
  const kept = new Map<number, string>();
  const keep = (entries: Iterable<[number, string]>) => {
    for (const [id, print] of entries) if (!kept.has(id)) kept.set(id, print);
  };
  return {
    kept,
    read: async () => new Map(kept),
    add: async (fingerprints) => {
      keep(meanwhile);
      keep(fingerprints);
    },
  };
}
