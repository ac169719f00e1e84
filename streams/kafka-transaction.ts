/**
 * Writes transactions under one transactional id. Taking the id over ends the former writer's transaction and shuts it
 * out (the fence is InitProducerId, KIP-98); each end of a transaction gives a new epoch (KIP-890), so that a request
 * that comes late belongs to no transaction.
 */
import { initProducerIdV5 } from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import type { TopicPartition } from './event-log.ts';
import { type Lane, roundsOf } from './kafka-batches.ts';
import { type BrokerAddress, BrokerError, brokerErrorOf, type KafkaCluster, kafkaError } from './kafka-cluster.ts';
import { endTransactionApi, type ProduceBatch, type Produced, produceApi } from './kafka-protocol.ts';
import { encodeRecordBatch } from './kafka-records.ts';
import { TRANSACTION_TIMEOUT_MS } from './limits.ts';

/** What of a transaction went to a partition: its records lie at `firstOffset` and after, below `endOffset`. */
export interface Written extends TopicPartition {
  firstOffset: number;
  endOffset: number;
}

/** After these, another writer has the id, or the coordinator gave up on the transaction, which it answers alike. */
const FENCED = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_TXN_STATE']);
const UNKNOWN_SERVER_ERROR = -1;
const CONCURRENT_TRANSACTIONS = 51;

export class TransactionWriter {
  readonly id: string;
  private readonly cluster: KafkaCluster;
  /** Of the transactions that are written now; -1 before it is opened. */
  producerId = -1n;
  private epoch = -1;
  private coordinator: BrokerAddress | undefined;
  private readonly sequences = new Map<string, number>();
  private readonly written = new Map<string, Written>();
  private startedMs = Number.NaN;

  constructor(cluster: KafkaCluster, id: string) {
    this.cluster = cluster;
    this.id = id;
  }

  /** Shuts out whoever wrote under this id before, and waits until that one's transaction has ended. */
  async open(): Promise<void> {
    const found = await this.cluster.untilDone(
      async () => {
        this.coordinator = await this.cluster.coordinatorOf(this.id);
        return this.cluster.send('write', this.coordinator, initProducerIdV5.api, this.id, TRANSACTION_TIMEOUT_MS, -1n, -1);
      },
      { withinMs: 4 * TRANSACTION_TIMEOUT_MS },
    );
    this.begin(found.producerId, found.producerEpoch);
  }

  private begin(producerId: bigint, epoch: number): void {
    this.producerId = producerId;
    this.epoch = epoch;
    this.sequences.clear();
    this.written.clear();
    this.startedMs = Number.NaN;
  }

  /**
   * Adds records to the transaction, in order within each lane. Throws TASK_FENCED where another writer has the id, and
   * KAFKA_UNREACHABLE where it could not be done in time; in either case this writer is of no use any more.
   */
  async write(lanes: readonly Lane[]): Promise<void> {
    if (Number.isNaN(this.startedMs)) this.startedMs = performance.now();
    for (const round of roundsOf(lanes)) await this.produce(round);
  }

  /** Repeated as a whole where some of it failed: batches are numbered, so a broker that has one gives its offset again. */
  private async produce(round: readonly Lane[]): Promise<void> {
    const batches = round.map(({ topic, partition, records }) => {
      const place = placeName(topic, partition);
      const sequence = this.sequences.get(place) ?? 0;
      this.sequences.set(place, sequence + records.length);
      const bytes = encodeRecordBatch(records, { producerId: this.producerId, epoch: this.epoch, sequence }, this.cluster.compression);
      return { topic, partition, bytes, place, count: records.length };
    });
    const answers = await this.fenceTold(() =>
      this.cluster.untilDone(() => this.send(batches), { topics: round.map(({ topic }) => topic), withinMs: TRANSACTION_TIMEOUT_MS }),
    );
    for (const { place, count } of batches) this.note(place, answers.get(place)!, count);
  }

  private async send(batches: readonly ProduceBatch[]): Promise<Map<string, Produced>> {
    const answers = new Map<string, Produced>();
    const byLeader = await this.cluster.byLeader(batches);
    const sent = [...byLeader].map(([node, of]) => this.cluster.sendToNode('write', node, produceApi, this.id, TRANSACTION_TIMEOUT_MS, of));
    for (const answer of (await Promise.all(sent)).flat()) {
      const place = placeName(answer.topic, answer.partition);
      if (answer.errorCode !== 0) throw new BrokerError(answer.errorCode, `a write to ${place}`);
      answers.set(place, answer);
    }
    return answers;
  }

  private note(place: string, { topic, partition, baseOffset }: Produced, count: number): void {
    const known = this.written.get(place);
    const endOffset = baseOffset + count;
    if (known) known.endOffset = endOffset;
    else this.written.set(place, { topic, partition, firstOffset: baseOffset, endOffset });
  }

  /** Where the records of the transaction that is under way lie. */
  places(): Written[] {
    return [...this.written.values()];
  }

  /** Ends the transaction. Throws as `write` does; whether it was committed is not known then. */
  async end(commit: boolean): Promise<Written[]> {
    if (this.written.size === 0 && Number.isNaN(this.startedMs)) return [];
    const written = this.places();
    const ended = await this.fenceTold(() =>
      this.cluster.untilDone(
        async () => {
          this.coordinator ??= await this.cluster.coordinatorOf(this.id);
          const answer = await this.cluster
            .send('write', this.coordinator, endTransactionApi, this.id, this.producerId, this.epoch, commit)
            .catch((error) => {
              this.coordinator = undefined;
              throw error;
            });
          if (answer.errorCode !== 0) {
            this.coordinator = undefined;
            // A coordinator that is shutting this writer out at this moment answers so; a moment later it says that it did.
            const code = answer.errorCode === UNKNOWN_SERVER_ERROR ? CONCURRENT_TRANSACTIONS : answer.errorCode;
            throw new BrokerError(code, `the end of a transaction of ${this.id}`);
          }
          return answer;
        },
        { withinMs: TRANSACTION_TIMEOUT_MS },
      ),
    );
    this.begin(ended.producerId, ended.epoch);
    return written;
  }

  /**
   * A transaction that took too long is ended by the coordinator, which looks like the fence, though nobody may have the id:
   * `isOverdue` in the details.
   */
  private async fenceTold<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const cause = (error as IflexError).cause ?? error;
      const id = brokerErrorOf(cause);
      if (id === undefined || !FENCED.has(id)) throw kafkaError(error);
      const isOverdue = performance.now() - this.startedMs > 0.8 * TRANSACTION_TIMEOUT_MS;
      const reason = isOverdue ? `, or its transaction took longer than ${TRANSACTION_TIMEOUT_MS / 1000} s` : '';
      throw new IflexError('TASK_FENCED', `Another process took this task over${reason}.`, { isOverdue }, cause);
    }
  }
}

function placeName(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
