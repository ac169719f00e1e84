import type { Pool } from '../../streams/postgres.ts';
import type { Scope } from '../../streams/security/decide.ts';
import { epochMs, instant } from './epoch-ms.ts';
import { scopeParameters, withinScope } from './scope.ts';

/** Place of an event of a topic: unique, and stable for ever. */
export interface Place {
  partition: number;
  offset: number;
}

export interface RejectedRow extends Place {
  siteId: string | null;
  pointId: string | null;
  knownAtMs: number;
  startMs: number | null;
  code: string;
  reason: string;
  source: string;
  readingCount: number;
  byteLength: number;
  sha256: string;
}

/** Events set aside, by what they concern and when they became known. */
export interface SetAsideAsk {
  scope: Scope;
  siteId: string | null;
  /** Code of a rejected event, kind of a notice. */
  code: string | null;
  fromMs: number | null;
  toMs: number | null;
  after: (Place & { knownAtMs: number }) | null;
  limit: number;
}

export const REJECTED_COLUMNS = `topic_partition AS "partition", topic_offset AS "offset", site_id AS "siteId", point_id AS "pointId",
  ${epochMs('known_at')} AS "knownAtMs", ${epochMs('start_at')} AS "startMs", code, reason, source, reading_count AS "readingCount",
  byte_length AS "byteLength", sha256`;

/** Conditions of both lists, for parameters $1 … $9, and the order that makes pages stable: newest first. */
export function setAsideWhere(table: string, codeColumn: string): string {
  return `WHERE ${withinScope(table, 1)} AND ($3::text IS NULL OR site_id = $3) AND ($4::text IS NULL OR ${codeColumn} = $4)
    AND ($5::float8 IS NULL OR known_at >= ${instant(5)}) AND ($6::float8 IS NULL OR known_at < ${instant(6)})
    AND ($7::float8 IS NULL OR (known_at, topic_partition, topic_offset) < (${instant(7)}, $8::int, $9::bigint))
    ORDER BY known_at DESC, topic_partition DESC, topic_offset DESC LIMIT $10`;
}

export function setAsideParameters(ask: SetAsideAsk): unknown[] {
  const { after } = ask;
  return [
    ...scopeParameters(ask.scope),
    ask.siteId,
    ask.code,
    ask.fromMs,
    ask.toMs,
    after?.knownAtMs ?? null,
    after?.partition ?? null,
    after?.offset ?? null,
    ask.limit,
  ];
}

/** What could not be used, newest first, without the bytes. */
export async function rejectedEvents(pool: Pool, ask: SetAsideAsk): Promise<RejectedRow[]> {
  const { rows } = await pool.query(
    `SELECT ${REJECTED_COLUMNS} FROM rejected ${setAsideWhere('rejected', 'code')}`,
    setAsideParameters(ask),
  );
  return rows;
}
