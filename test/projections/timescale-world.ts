/** A whole pipeline on a database given, fed with the same facts, and its rows in a form that can be compared. */
import { type Pipeline, startPipeline } from '../../infra/pipeline.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import type { Pool } from '../../streams/postgres.ts';
import { keepGoing } from '../../streams/retry.ts';
import { scenarioFacts } from '../crash/scenario.ts';

/** Sites with late, doubled and corrected readings, and a delivery of a site that nobody declared. */
export function factsWithErrors(): Fact[] {
  const facts = scenarioFacts({ seed: 3, sites: 4, days: 2 });
  const middle = facts.length >> 1;
  const { value, ...fact } = facts[middle];
  const stranger = { ...fact, key: 'nobody', value: { ...value, siteId: 'nobody' }, source: 'stranger' } as Fact;
  return facts.toSpliced(middle, 0, stranger);
}

/** Runs a pipeline over the facts until all is projected and `until` is there, then does the work with it. */
export async function withPipeline<T>(
  { url, namespace, onFacts, until }: { url: string; namespace: string; onFacts?: (count: number) => void; until?: Promise<void> },
  work: (pipeline: Pipeline) => Promise<T>,
): Promise<T> {
  const pipeline = await startPipeline({ url, namespace, codeVersion: 'test' });
  const stopping = new AbortController();
  try {
    const { log, codec } = pipeline;
    const feeding = keepGoing(stopping.signal, async () => {
      const onProgress = ({ facts }: { facts: number }) => onFacts?.(facts);
      const speed = Number.POSITIVE_INFINITY;
      await feed({ log, codec, facts: factsWithErrors(), tickMs: 15 * MINUTE_MS, tickSource: 'clock', speed, onProgress });
    });
    await Promise.race([Promise.all([feeding, until]), pipeline.failed]);
    await pipeline.drained();
    return await work(pipeline);
  } finally {
    stopping.abort();
    await pipeline.stop();
  }
}

/** Of every table of every projection all rows as sorted lines; points by their names, as their numbers are those of a run. */
export async function projectedLines(pool: Pool): Promise<Map<string, string[]>> {
  const lines = new Map<string, string[]>();
  // Runs tell when a task began, which differs.
  for (const table of PROJECTIONS.filter(({ topics }) => !topics.includes('runs')).flatMap(({ tables }) => tables)) {
    const { rows } = await pool.query(
      `SELECT line FROM (SELECT (to_jsonb(t) - 'point_ref')::text || coalesce((SELECT site_id || ' ' || point_id FROM point_ref r
         WHERE r.point_ref = (to_jsonb(t) ->> 'point_ref')::int), '') AS line FROM ${table} t) l ORDER BY line COLLATE "C"`,
    );
    lines.set(
      table,
      rows.map(({ line }: { line: string }) => line),
    );
  }
  return lines;
}
