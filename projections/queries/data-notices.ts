import type { Pool } from '../../streams/postgres.ts';
import { epochMs } from './epoch-ms.ts';
import { type Place, type SetAsideAsk, setAsideParameters, setAsideWhere } from './rejected-events.ts';

export interface NoticeRow extends Place {
  siteId: string;
  pointId: string;
  knownAtMs: number;
  startMs: number;
  kind: string;
  value: number | null;
  otherValue: number | null;
  count: number;
}

/** What the data show about themselves, newest first. */
export async function dataNotices(pool: Pool, ask: SetAsideAsk): Promise<NoticeRow[]> {
  const { rows } = await pool.query(
    `SELECT topic_partition AS "partition", topic_offset AS "offset", site_id AS "siteId", point_id AS "pointId",
       ${epochMs('known_at')} AS "knownAtMs", ${epochMs('start_at')} AS "startMs", kind, value, other_value AS "otherValue",
       notice_count AS "count" FROM notice ${setAsideWhere('notice', 'kind')}`,
    setAsideParameters(ask),
  );
  return rows;
}
