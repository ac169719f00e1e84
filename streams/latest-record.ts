/** The latest record of a partition: the log has no such read of its own, and what comes before its end may be holes. */
import type { EventLog, LogRecord, TopicPartition } from './event-log.ts';
import { MAX_STEP_BYTES } from './limits.ts';

const FIRST_LOOK_BACK = 2;

/** Looks back ever further from the end; undefined where the partition holds nothing. */
export async function latestRecord(log: EventLog, at: TopicPartition): Promise<LogRecord | undefined> {
  const end = (await log.endOffsets(at.topic))[at.partition];
  for (let back = FIRST_LOOK_BACK; ; back *= 2) {
    let latest: LogRecord | undefined;
    for (let offset = Math.max(0, end - back); ; ) {
      const { records, nextOffset } = await log.read(at, offset, { maxRecords: back, maxBytes: MAX_STEP_BYTES });
      latest = records.at(-1) ?? latest;
      if (nextOffset === offset || nextOffset >= end) break;
      offset = nextOffset;
    }
    if (latest !== undefined || back >= end) return latest;
  }
}
