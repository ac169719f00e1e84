import type { Pool } from '../../streams/postgres.ts';

export interface ProjectionPosition {
  name: string;
  topic: string;
  partition: number;
  nextOffset: number;
}

/** Where the current build of each projection stands in its topics, as far as it has begun. */
export async function projectionPositions(pool: Pool): Promise<ProjectionPosition[]> {
  const { rows } = await pool.query(
    `SELECT name, topic, partition, next_offset AS "nextOffset"
       FROM projection_position JOIN projection_build USING (name, build) WHERE current`,
  );
  return rows;
}
