/**
 * What a projection is: pure mappings from events to rows of tables of its own. Every build of a projection has tables
 * of its own ("series_5m_b1"); views of the plain name show the current build, so that a rebuild can be made beside it,
 * compared, and switched in one transaction.
 */

import type { LogRecord } from '../streams/event-log.ts';
import type { Client } from '../streams/postgres.ts';
import type { PointRefs } from './point-refs.ts';

export interface ProjectedEvent {
  record: LogRecord;
  value: unknown;
}

/** Names of the tables of one build. */
export type Table = (name: string) => string;

export interface Projection {
  name: string;
  /** Raised with every change of its rows: a new version is rebuilt. */
  version: number;
  /** Statements that create the tables of a build: sql/NAME.vVERSION.sql, see migrations.ts. */
  sql: string;
  topics: readonly string[];
  /** Whether each topic has tables of its own, so that topics may be taken in side by side. */
  topicsApart?: boolean;
  /** Tables (plain names) that get a view, in the order in which they are compared. */
  tables: readonly string[];
  /**
   * Writes a batch of events, in log order by partition, within the caller's transaction. Rows must depend on the order
   * of events alone, never on how they fall into batches: a rebuild is compared with them. Events are decoded as they
   * are iterated, so that a batch never stands decoded in memory as a whole.
   */
  apply: Apply;
  /** Fills the empty tables of a rebuild quickly; without it a rebuild only applies. */
  load?: Load;
}

type Apply = (client: Client, table: Table, events: Iterable<ProjectedEvent>, refs: PointRefs) => Promise<void>;

/** Must give the same rows as applying does, or fail because of the data: a rebuild applies then, from the beginning. */
export interface Load {
  /**
   * Tables of topics (all of the projection or, where they are apart, one) whose indexes are made once all rows are there,
   * which is also when keys that are not unique are found.
   */
  indexLater(topics: readonly string[]): readonly string[];
  /** Instead of apply(), where that needs indexes. Batches of different partitions come side by side. */
  take?: Apply;
  /** What is left to do with the rows of the same topics. */
  beforeIndexes?(client: Client, table: Table, topics: readonly string[]): Promise<void>;
  afterIndexes?(client: Client, table: Table): Promise<void>;
}
