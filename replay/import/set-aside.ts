/** What the pipeline set aside of what an import brought: told beside what the import itself rejected. */
import type { Codec } from '../../schemas/codec.ts';
import type { Rejected } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { FEED_BATCH_BYTES, FEED_BATCH_RECORDS } from '../../streams/limits.ts';

/** Readings (or events without any) that processors rejected since the given ends of the topic, by code. */
export async function setAsideSince(log: EventLog, codec: Codec, ends: readonly number[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const now = await log.endOffsets('rejected');
  for (let partition = 0; partition < now.length; partition++) {
    for (let offset = ends[partition]; offset < now[partition]; ) {
      const page = await log.read({ topic: 'rejected', partition }, offset, { maxRecords: FEED_BATCH_RECORDS, maxBytes: FEED_BATCH_BYTES });
      for (const { value, headers } of page.records) {
        // Importers number their deliveries; what processors emit has the hash of its content.
        if (headers.id === undefined) continue;
        const { code, readingCount } = codec.decodeAs('Rejected', value) as Rejected;
        counts[code] = (counts[code] ?? 0) + Math.max(1, readingCount);
      }
      offset = page.nextOffset;
    }
  }
  return counts;
}
