import type { Pool } from '../../streams/postgres.ts';
import { namespaceSchema } from '../../streams/postgres-log.ts';
import { epochMs, instant } from './epoch-ms.ts';

/** What all tasks of a namespace did under one code and one configuration. */
export interface RunRow {
  runId: string;
  namespace: string;
  /** What made the namespace, as it was noted; null for a log of live events. */
  note: string | null;
  codeVersion: string;
  configurationHash: string;
  processors: string[];
  seed: number | null;
  models: { model: string; sha256: string }[];
  schemas: { id: number; fingerprint: string }[];
  /** When its first and its latest task began (wall clock, ms); the latter with the partition and offset that tell two of one ms apart. */
  startedMs: number;
  lastStartedMs: number;
  /** Stream time at which its first task began (ms). */
  knownAtMs: number;
  /** Tasks that began under it. */
  tasks: number;
}

export interface RunsAsk {
  /** Only this one. */
  runId: string | null;
  /** The run before, in the order of the answer: when it began, and its id. */
  after: { startedMs: number; runId: string } | null;
  limit: number;
}

/** Runs, the latest first. */
export async function listRuns(pool: Pool, { runId, after, limit }: RunsAsk): Promise<RunRow[]> {
  const { rows } = await pool.query({
    name: 'list-runs',
    text: `SELECT run_id AS "runId", substr(current_schema(), length($1) + 1) AS namespace,
        obj_description(to_regnamespace(quote_ident(current_schema())), 'pg_namespace') AS note,
        code_version AS "codeVersion", configuration_hash AS "configurationHash", processors, seed, models, schemas,
        ${epochMs('started_at')} AS "startedMs", ${epochMs('last_started_at')} AS "lastStartedMs", ${epochMs('known_at')} AS "knownAtMs", tasks
      FROM (SELECT DISTINCT ON (run_id) *, max(started_at) OVER same AS last_started_at,
          (SELECT count(DISTINCT topic_partition) FROM run AS of_run WHERE of_run.run_id = run.run_id) AS tasks
        FROM run WHERE $2::text IS NULL OR run_id = $2 WINDOW same AS (PARTITION BY run_id)
        ORDER BY run_id, started_at, topic_partition, topic_offset) AS began
      WHERE $3::float8 IS NULL OR (started_at, run_id) < (${instant(3)}, $4::text COLLATE "C")
      ORDER BY started_at DESC, run_id DESC LIMIT $5`,
    values: [namespaceSchema('x').slice(0, -1), runId, after?.startedMs ?? null, after?.runId ?? null, limit],
  });
  return rows;
}
