import { hash } from 'node:crypto';
import { bodyOf, isFramed } from '../schemas/codec.ts';
import type { Rejected } from '../schemas/types.ts';
import type { ErrorCode } from './errors.ts';
import type { LogRecord } from './event-log.ts';
import { REJECTED_BYTES_KEPT } from './limits.ts';
import type { RejectedPlace } from './processor.ts';

/**
 * A rejected event without what is of the log it stands in and not of what was rejected: where its record lies, and the
 * id by which a registry knows its schema, which are in its bytes and their hash.
 */
export function withoutPlace(rejected: Rejected): Rejected {
  const bytes = Buffer.from(rejected.bytes);
  return isFramed(bytes) ? { ...rejected, source: '', bytes: bodyOf(bytes), sha256: '' } : { ...rejected, source: '' };
}

/** What tells that a record, or readings of it, were set aside, with its first bytes and the hash of all. */
export function rejectedEvent(
  record: LogRecord,
  knownAtMs: number,
  code: ErrorCode,
  reason: string,
  { pointId, startsMs = [], readingCount = startsMs.length }: RejectedPlace,
  key: string,
): Rejected {
  return {
    siteId: key || null,
    knownAtMs,
    code,
    reason,
    source: `${record.topic}/${record.partition}/${record.offset}`,
    pointId: pointId ?? null,
    startMs: startsMs[0] ?? null,
    readingCount,
    startsMs: startsMs.map((startMs, i) => (i === 0 ? startMs : startMs - startsMs[i - 1])),
    bytes: record.value.subarray(0, REJECTED_BYTES_KEPT),
    byteLength: record.value.length,
    sha256: hash('sha256', record.value),
  };
}
