/** Finds events that outside producers wrote into a partition that is not their key's: no task would look for them there. */
import type { LogRecord } from './event-log.ts';
import { partitionOf } from './partitioner.ts';

/** Keys whose hashes are held; all are let go once there are more. */
const MAX_KEYS = 100_000;
const ALL_HASHES = 0x8000_0000;

export class Misplaced {
  private readonly hashes = new Map<string, number>();

  /** Records of one partition: those of another one are told of as such, so that they can be set aside. */
  mark(records: readonly LogRecord[], partitionCount: number): void {
    let latestKey: string | undefined;
    let isMisplaced = false;
    for (const record of records) {
      const { key, partition } = record;
      if (key !== latestKey) {
        latestKey = key;
        // What has no key has no partition of its own; it is told by that.
        isMisplaced = key !== '' && this.hashOf(key) % partitionCount !== partition;
      }
      if (!isMisplaced) continue;
      const own = this.hashOf(key) % partitionCount;
      record.fault ??= `The key ${key} belongs into partition ${own}, not ${partition}: producers must use Kafka's own partitioner (murmur2).`;
    }
  }

  private hashOf(key: string): number {
    const known = this.hashes.get(key);
    if (known !== undefined) return known;
    if (this.hashes.size >= MAX_KEYS) this.hashes.clear();
    const hash = partitionOf(key, ALL_HASHES);
    this.hashes.set(key, hash);
    return hash;
  }
}
