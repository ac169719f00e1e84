/**
 * Which deliveries were appended before: the latest number of each source in each topic and partition, as records of one
 * partition. A writer marks there what it appends, in the same transaction, and commits once every mark before its own is
 * decided and none of them is of its sources: their order in that partition settles who came first, whichever process it was.
 */
import type { Group } from './append-groups.ts';
import type { TopicPartition } from './event-log.ts';
import type { KafkaReader } from './kafka-reader.ts';
import type { WireRecord } from './kafka-records.ts';
import { MAX_STEP_BYTES } from './limits.ts';

const ALL = { maxRecords: Number.MAX_SAFE_INTEGER, maxBytes: MAX_STEP_BYTES };

export class KafkaSources {
  private readonly reader: KafkaReader;
  private readonly at: TopicPartition;
  private readonly latest = new Map<string, number>();
  private offset = 0;

  constructor(reader: KafkaReader, at: TopicPartition) {
    this.reader = reader;
    this.at = at;
  }

  /** Reads what was decided since the last time. */
  async catchUp(until = Number.POSITIVE_INFINITY): Promise<void> {
    while (this.offset < until && (await this.readOn()));
  }

  /**
   * Reads up to the first offset of one's own marks, whose transaction is open: once all before it are decided, that is as
   * far as one can read. Throws KAFKA_STALLED where another's transaction there is not ended in time.
   */
  async catchUpTo(ownMark: number): Promise<void> {
    await this.catchUp(ownMark);
    if (this.offset >= ownMark) return;
    // What was decided after that read is still to be read.
    await this.reader.untilDecided([{ ...this.at, endOffset: ownMark }]);
    await this.catchUp(ownMark);
  }

  /** False where there was nothing further to read. */
  private async readOn(): Promise<boolean> {
    const { records, nextOffset } = await this.reader.read(this.at, this.offset, ALL);
    for (const { key, value } of records) this.latest.set(key, Number(Buffer.from(value).toString()));
    const moved = nextOffset > this.offset;
    this.offset = nextOffset;
    return moved;
  }

  /** The groups without what their sources have delivered before; of further ones in this call `dropRepeats` takes care. */
  fresh(groups: readonly Group[]): Group[] {
    const kept: Group[] = [];
    for (const { topic, partition, records } of groups) {
      const fresh = records.filter(({ headers: { source, number } }) => number < 0 || number > this.of(topic, partition, source));
      if (fresh.length > 0) kept.push({ topic, partition, records: fresh, sources: new Map() });
    }
    return kept;
  }

  /** Whether a source of these groups has meanwhile delivered what they hold. */
  overtook(groups: readonly Group[]): boolean {
    return groups.some(({ topic, partition, sources }) =>
      [...sources].some(([source, { first }]) => this.of(topic, partition, source) >= first),
    );
  }

  private of(topic: string, partition: number, source: string): number {
    return this.latest.get(keyOf(topic, partition, source)) ?? -1;
  }
}

/** The marks that go with these groups. */
export function sourceMarks(groups: readonly Group[]): WireRecord[] {
  return groups.flatMap(({ topic, partition, sources }) =>
    [...sources].map(([source, { last }]) => ({ key: keyOf(topic, partition, source), value: Buffer.from(String(last)), headers: null })),
  );
}

function keyOf(topic: string, partition: number, source: string): string {
  return `${topic}/${partition} ${source}`;
}
