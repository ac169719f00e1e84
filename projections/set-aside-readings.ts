/** What of deliveries the task set aside when they came, as its rejections tell: a reload leaves the same out. */
import type { Codec } from '../schemas/codec.ts';
import type { Rejected } from '../schemas/types.ts';
import type { EventLog, LogRecord } from '../streams/event-log.ts';
import { MAX_STEP_BYTES } from '../streams/limits.ts';
import type { ProjectionStore } from './store.ts';

export interface SetAside {
  /** The delivery as a whole. */
  all: boolean;
  /** Points of which all was set aside. */
  points: Set<string>;
  /** Starts of single readings, by point. */
  starts: Map<string, Set<number>>;
}

export interface SetAsideOptions {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
}

/** Codes that set single readings aside for what the point was like then; others can be told from the delivery itself. */
const OF_THEIR_TIME = new Set(['READING_IN_FUTURE', 'READING_BUFFER_FULL']);

interface Row {
  source: string;
  point_id: string | null;
  code: string;
  topic_partition: number;
  topic_offset: number;
}

/** By "topic/partition/offset" of the deliveries of which anything was set aside. */
export async function setAsideOf(options: SetAsideOptions, deliveries: readonly LogRecord[]): Promise<Map<string, SetAside>> {
  const found = new Map<string, SetAside>();
  if (deliveries.length === 0) return found;
  const { rows } = await options.store.pool.query<Row>(
    'SELECT source, point_id, code, topic_partition, topic_offset FROM rejected WHERE source = ANY ($1)',
    [deliveries.map(placeOf)],
  );
  for (const row of rows) {
    let of = found.get(row.source);
    if (!of) found.set(row.source, (of = { all: false, points: new Set(), starts: new Map() }));
    if (row.point_id === null) of.all = true;
    else if (row.code === 'POINT_UNKNOWN') of.points.add(row.point_id);
    else if (OF_THEIR_TIME.has(row.code)) {
      const starts = of.starts.get(row.point_id) ?? new Set();
      of.starts.set(row.point_id, starts);
      for (const startMs of await startsOf(options, row)) starts.add(startMs);
    }
  }
  return found;
}

export function placeOf({ topic, partition, offset }: LogRecord): string {
  return `${topic}/${partition}/${offset}`;
}

async function startsOf({ log, codec }: SetAsideOptions, row: Row): Promise<number[]> {
  const at = { topic: 'rejected', partition: row.topic_partition };
  const { records } = await log.read(at, row.topic_offset, { maxRecords: 1, maxBytes: MAX_STEP_BYTES });
  const { startsMs } = codec.decodeAs('Rejected', records[0].value) as Rejected;
  let startMs = 0;
  return startsMs.map((stepMs) => (startMs += stepMs));
}
