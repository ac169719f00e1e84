/**
 * Ends transactions that hang, for a process that waits behind one. It does less than an operator may (`iflex kafka
 * hanging`): only where a coordinator itself says that the producer has gone on to a later epoch, so that the transaction
 * is over for good, whatever clocks say. Kafka refuses the mark of an epoch that the partition has left behind, and one that
 * comes a second time ends nothing; so several processes may do this at once, and beside an operator.
 */
import type { TopicPartition } from './event-log.ts';
import { brokerErrorOf, type KafkaCluster } from './kafka-cluster.ts';
import { endTransaction, findOpenTransactions, isHanging, type OpenTransaction, outcomeElsewhere } from './kafka-hanging.ts';
import { type KafkaReader, placeOf } from './kafka-reader.ts';

export interface HangingFound {
  /** How it was ended; `left`: it was not, and the text says what to do. */
  outcome: 'commit' | 'abort' | 'left';
  text: string;
}

export interface RepairOptions {
  cluster: KafkaCluster;
  reader: KafkaReader;
  /** Where our transactions write to. */
  places: readonly TopicPartition[];
  /** Whether it may end any, or only tell. */
  mayEnd: boolean;
  /** Of what is left it is told once. */
  onFound: (found: HangingFound) => void;
  nowMs: () => number;
}

const COMMAND = 'Run `iflex kafka hanging`; it shows and can end it.';
/** Somebody else ended it in between, or its producer has written on. */
const OVERTAKEN = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'TRANSACTION_COORDINATOR_FENCED']);

export class KafkaRepair {
  private readonly options: RepairOptions;
  private underWay: Promise<boolean> | undefined;
  private toldOfLeft: readonly string[] = [];

  constructor(options: RepairOptions) {
    this.options = options;
  }

  /** Looks once, for all who wait at the time. Returns whether it ended any; never rejects. */
  attempt(): Promise<boolean> {
    this.underWay ??= this.repair().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  private async repair(): Promise<boolean> {
    const { onFound } = this.options;
    let found: HangingFound[];
    try {
      found = await this.endThoseThatHang();
    } catch (error) {
      found = [{ outcome: 'left', text: `Readers wait for a transaction, and what it is cannot be told: ${reasonOf(error)} ${COMMAND}` }];
    }
    const left = found.filter(({ outcome }) => outcome === 'left').map(({ text }) => text);
    for (const each of found) if (each.outcome !== 'left' || !this.toldOfLeft.includes(each.text)) onFound(each);
    this.toldOfLeft = left;
    return found.length > left.length;
  }

  private async endThoseThatHang(): Promise<HangingFound[]> {
    const { cluster, reader, places, nowMs } = this.options;
    // Brokers that came since may coordinate it.
    await cluster.refresh([...new Set(places.map(({ topic }) => topic))]);
    const hanging = (await findOpenTransactions(cluster, reader, places)).filter((open) => isHanging(open, nowMs()));
    const found: HangingFound[] = [];
    for (const parts of Map.groupBy(hanging, ({ producerId, producerEpoch }) => `${producerId}/${producerEpoch}`).values()) {
      const each = await this.endOne(parts);
      if (each) found.push(each);
    }
    return found;
  }

  /** `parts`: where it hangs. */
  private async endOne(parts: readonly OpenTransaction[]): Promise<HangingFound | undefined> {
    const { reader, places, mayEnd } = this.options;
    const [open] = parts;
    const more = parts.length === 1 ? '' : ` (and in ${parts.length - 1} other partitions)`;
    const what = `A transaction hangs in ${placeOf(open)} from offset ${open.firstOffset} on${more}, of producer ${open.producerId}, epoch ${open.producerEpoch}`;
    const left = (why: string): HangingFound => ({ outcome: 'left', text: `${what}. It was not ended, as ${why}. ${COMMAND}` });
    if (!mayEnd) return left('KAFKA_REPAIR_HANGING is false');
    if (!parts.every(({ isOver }) => isOver)) return left('no coordinator says that its producer has gone on to another one');
    try {
      // Asked once, before any part is ended.
      const outcome = (await outcomeElsewhere(reader, open, places)) ?? 'abort';
      let isEnded = false;
      for (const part of parts) isEnded = (await this.endPart(part, outcome)) || isEnded;
      if (!isEnded) return undefined;
      const how = outcome === 'commit' ? 'committed, as in its other partitions' : 'aborted';
      return { outcome, text: `${what}. It was ended: ${how}.` };
    } catch (error) {
      return left(`Kafka refused it: ${reasonOf(error)}`);
    }
  }

  /** False where somebody was there before. */
  private async endPart(part: OpenTransaction, outcome: 'commit' | 'abort'): Promise<boolean> {
    try {
      await endTransaction(this.options.cluster, part, outcome);
      return true;
    } catch (error) {
      if (OVERTAKEN.has(brokerErrorOf(error) ?? '')) return false;
      throw error;
    }
  }
}

function reasonOf(error: unknown): string {
  return brokerErrorOf(error) ?? (error as Error).message;
}
