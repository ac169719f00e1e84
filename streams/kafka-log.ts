/** The log on Apache Kafka: one transaction per append or step. What of it is read is only what was committed. */
import { randomUUID } from 'node:crypto';
import { apiVersionsV4 } from '@platformatic/kafka';
import { dropRepeats, type Group, groupByPartition, TopicTable } from './append-groups.ts';
import { IflexError } from './errors.ts';
import type {
  AppendResult,
  EventLog,
  KeptSnapshot,
  LogRecord,
  NewRecord,
  Positions,
  ReadOptions,
  ReadResult,
  StepJournalEntry,
  TaskHandle,
  TopicPartition,
} from './event-log.ts';
import type { Lane } from './kafka-batches.ts';
import { KafkaCluster } from './kafka-cluster.ts';
import { transactionProblem } from './kafka-features.ts';
import { deleteBefore, type KafkaTaskPlace, kafkaJournal, kafkaKeptSnapshot, kafkaTaskPositions, takeKafkaTask } from './kafka-log-task.ts';
import { lookAtAll } from './kafka-look.ts';
import { Misplaced } from './kafka-misplaced.ts';
import { KafkaReader } from './kafka-reader.ts';
import { type HangingFound, KafkaRepair, type RepairOptions } from './kafka-repair.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { KafkaSources, sourceMarks } from './kafka-sources.ts';
import { type KeepingOptions, makeTopics, ownTopicName, placesOf, topicName, type WantedTopic, wantedTopics } from './kafka-topics.ts';
import { TransactionWriter, type Written } from './kafka-transaction.ts';
import { KafkaWatch } from './kafka-watch.ts';
import { HOUR_MS } from './limits.ts';
import { identifier } from './postgres.ts';
import { Patience } from './retry.ts';
import { TOPICS, type Topic } from './topics.ts';

export interface KafkaLogOptions extends Partial<KeepingOptions> {
  settings: KafkaSettings;
  namespace: string;
  /** Other topics than those of the pipeline. */
  topics?: readonly Topic[];
  /** Is told of transactions that hang, which are ended where that is safe; default: nobody looks after them. */
  onHanging?: (found: HangingFound) => void;
}

export interface KafkaEventLog extends EventLog {
  /** Of this very log: one that is made anew under the same name has another. */
  readonly id: string;
}

const OPEN_WITHIN_MS = 60_000;
/** Marks come within this; nobody ends a transaction by hand that early. */
const LONG_WAIT_MS = 5_000;

/** Opens (and where needed creates) the log of a namespace. Throws CONFIG_INVALID or KAFKA_UNREACHABLE. */
export async function openKafkaLog({
  settings,
  namespace,
  topics = TOPICS,
  onHanging,
  ...keeping
}: KafkaLogOptions): Promise<KafkaEventLog> {
  identifier(namespace);
  const wanted = wantedTopics(namespace, topics, { compactionLagMs: HOUR_MS, ...keeping });
  const cluster = new KafkaCluster(settings, `iflex ${namespace}`);
  try {
    await checkTransactions(cluster);
    await prepareTopics(cluster, wanted);
    const repair = onHanging && { mayEnd: settings.repairHanging ?? true, onFound: onHanging };
    return new KafkaLog(cluster, namespace, topics, repair);
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

async function checkTransactions(cluster: KafkaCluster): Promise<void> {
  const versions = await cluster.untilDone(() => cluster.sendToAny(apiVersionsV4.api, 'iflex', '1'), { withinMs: 0 });
  const problem = transactionProblem(versions);
  if (problem) throw new IflexError('CONFIG_INVALID', problem);
}

/** Makes missing topics; refuses those that have another number of partitions. */
async function prepareTopics(cluster: KafkaCluster, wanted: readonly WantedTopic[]) {
  const look = cluster.refresh(wanted.map(({ name }) => name));
  await look.catch(() => makeTopics(cluster, wanted, OPEN_WITHIN_MS));
  for (const { name, partitions } of wanted) {
    const made = cluster.partitionCount(name);
    if (made !== partitions)
      throw new IflexError(
        'CONFIG_INVALID',
        `The topic ${name} was made with ${made} partitions, not ${partitions}. Replay into a new namespace.`,
      );
  }
}

class KafkaLog implements KafkaEventLog {
  readonly id: string;
  readonly namespace: string;
  private readonly cluster: KafkaCluster;
  private readonly reader: KafkaReader;
  private readonly topics: TopicTable;
  private readonly sources: KafkaSources;
  private readonly watch: KafkaWatch;
  private readonly misplaced = new Misplaced();
  private writer: TransactionWriter | undefined;
  /** Id of a writer whose latest transaction may not have ended. */
  private lost: string | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private readonly closing = new AbortController();

  constructor(cluster: KafkaCluster, namespace: string, topics: readonly Topic[], repair?: Pick<RepairOptions, 'mayEnd' | 'onFound'>) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.id = cluster.topicId(ownTopicName(namespace, 'journal'));
    const written = wantedTopics(namespace, topics, { compactionLagMs: HOUR_MS }).flatMap(placesOf);
    const relief = repair && new KafkaRepair({ cluster, reader: new KafkaReader(cluster), places: written, nowMs: Date.now, ...repair });
    const relieve = relief && (() => relief.attempt());
    this.reader = new KafkaReader(cluster, relieve);
    this.topics = new TopicTable(topics);
    this.sources = new KafkaSources(this.reader, this.sourcesPlace);
    const places = topics.flatMap(({ name, partitions }) => placesOf({ name: topicName(namespace, name), partitions }));
    this.watch = new KafkaWatch(this.reader, places, relieve);
  }

  private get sourcesPlace(): TopicPartition {
    return { topic: ownTopicName(this.namespace, 'sources'), partition: 0 };
  }

  async append(records: NewRecord[]): Promise<AppendResult> {
    if (records.length === 0) return { appended: 0, redelivered: 0 };
    const groups = groupByPartition(records, this.topics);
    const appended = await this.inTurn(() => this.appendGroups(groups));
    return { appended, redelivered: records.length - appended };
  }

  /** One append after the other: a writer has one transaction at a time. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => {});
    return result;
  }

  /** Returns how many records were appended. */
  private async appendGroups(groups: readonly Group[]): Promise<number> {
    const patience = new Patience();
    // Only numbered records are known again where an attempt was committed, but its answer lost.
    const mayRepeat = groups.every(({ records }) => records.every(({ headers }) => headers.number >= 0));
    for (;;) {
      try {
        return await this.attemptAppend(groups);
      } catch (given) {
        this.lost ??= this.writer?.id;
        this.writer = undefined;
        // Nobody else has this writer's id.
        const error =
          (given as IflexError).code === 'TASK_FENCED'
            ? new IflexError('KAFKA_UNREACHABLE', 'Kafka ended a transaction.', {}, given)
            : given;
        if (!mayRepeat || this.closing.signal.aborted) throw error;
        await patience.afterFailure(error, this.closing.signal);
      }
    }
  }

  private async attemptAppend(groups: readonly Group[]): Promise<number> {
    const writer = await this.openedWriter();
    const isNumbered = groups.some(({ records }) => records.some(({ headers }) => headers.number >= 0));
    for (;;) {
      if (isNumbered) await this.sources.catchUp();
      const fresh = this.sources.fresh(groups);
      dropRepeats(fresh);
      if (fresh.length === 0) return 0;
      const lanes = fresh.map(({ topic, partition, records }): Lane => ({ topic: topicName(this.namespace, topic), partition, records }));
      const marks = sourceMarks(fresh);
      if (marks.length > 0) lanes.push({ ...this.sourcesPlace, records: marks });
      await writer.write(lanes);
      if (marks.length > 0) {
        const own = writer.places().find(({ topic }) => topic === this.sourcesPlace.topic)!;
        await this.sources.catchUpTo(own.firstOffset);
        if (this.sources.overtook(fresh)) {
          await this.reader.untilDecided(await writer.end(false));
          continue;
        }
      }
      await this.visible(await writer.end(true));
      return fresh.reduce((sum, { records }) => sum + records.length, 0);
    }
  }

  /**
   * After a failure the transaction that was under way is ended, and another producer goes on: where the mark of that end
   * is lost, the next transaction of the same producer would take along what was aborted, and commit it.
   */
  private async openedWriter(): Promise<TransactionWriter> {
    if (this.writer) return this.writer;
    if (this.lost) await new TransactionWriter(this.cluster, this.lost).open();
    this.lost = undefined;
    const writer = new TransactionWriter(this.cluster, `${this.namespace}.append.${randomUUID()}`);
    await writer.open();
    return (this.writer = writer);
  }

  /**
   * An append ends once its records can be read, which takes the ends of transactions that were open before it. Where that
   * takes long, marks may have been lost and a transaction that was committed been aborted by hand: KAFKA_UNREACHABLE.
   */
  private async visible(written: readonly Written[]): Promise<void> {
    if ((await this.reader.untilDecided(written)) < LONG_WAIT_MS) return;
    for (const { topic, partition, firstOffset } of written) {
      const { records } = await this.reader.read({ topic, partition }, firstOffset, { maxRecords: 1, maxBytes: 1 });
      if (records[0]?.offset === firstOffset) continue;
      throw new IflexError('KAFKA_UNREACHABLE', `A transaction that Kafka had committed was aborted in ${topic}/${partition}.`);
    }
  }

  async read(at: TopicPartition, offset: number, options: ReadOptions): Promise<ReadResult> {
    const { records, nextOffset } = await this.reader.read(this.placeOf(at), offset, options);
    this.name(records, at.topic);
    return { records, nextOffset };
  }

  async readMany(requests: { at: TopicPartition; offset: number }[], options: ReadOptions): Promise<ReadResult[]> {
    const named = requests.map(({ at, offset }) => ({ at: this.placeOf(at), offset }));
    const results = await lookAtAll(this.reader, named, this.guardsOf(requests), options);
    results.forEach(({ records }, i) => {
      this.name(records, requests[i].at.topic);
    });
    return results;
  }

  /** Gives records their topic's name in the table, and looks whether facts of sites lie where others look for them. */
  private name(records: readonly LogRecord[], topic: string): void {
    for (const record of records) record.topic = topic;
    const { key, kind, partitions } = this.topics.find(topic);
    if (key === 'site' && kind === 'fact') this.misplaced.mark(records, partitions);
  }

  /** What an append with records for these partitions may write to. */
  private guardsOf(requests: readonly { at: TopicPartition }[]): TopicPartition[] {
    const numbers = new Set(requests.map(({ at }) => at.partition));
    return this.topics
      .all()
      .flatMap(({ name, partitions }) =>
        [...numbers].filter((partition) => partition < partitions).map((partition) => this.placeOf({ topic: name, partition })),
      );
  }

  private placeOf({ topic, partition }: TopicPartition): TopicPartition {
    this.topics.find(topic, partition);
    return { topic: topicName(this.namespace, topic), partition };
  }

  async offsetAtAppendedTime(at: TopicPartition, appendedMs: number): Promise<number> {
    const place = this.placeOf(at);
    const [found] = await this.reader.atTime([place], appendedMs);
    // The end of a transaction has a time too, but is no record.
    const { records, nextOffset } =
      found < 0 ? { records: [], nextOffset: 0 } : await this.reader.read(place, found, { maxRecords: 1, maxBytes: 1 });
    if (records.length > 0) return records[0].offset;
    return Math.max(nextOffset, (await this.reader.ends([place]))[0]);
  }

  async endOffsets(topic: string): Promise<number[]> {
    const { partitions } = this.topics.find(topic);
    const places = placesOf({ name: topicName(this.namespace, topic), partitions });
    const ends = await this.reader.highWatermarks(places);
    // A step's journal may be seen a moment before its outputs, which would be missed by who asks for the ends then.
    await this.reader.untilDecided(places.map((place, i) => ({ ...place, endOffset: ends[i] })));
    return ends;
  }

  private get taskPlace(): KafkaTaskPlace {
    const { cluster, reader, namespace, topics } = this;
    return { cluster, reader, namespace, topics, visible: (written) => this.visible(written) };
  }

  takeTask(partition: number): Promise<TaskHandle> {
    return takeKafkaTask(this.taskPlace, partition);
  }

  taskPositions(partition: number): Promise<Positions> {
    return kafkaTaskPositions(this.taskPlace, partition);
  }

  keptSnapshot(partition: number, label: string, atOrBeforeMs: number): Promise<KeptSnapshot | null> {
    return kafkaKeptSnapshot(this.taskPlace, partition, label, atOrBeforeMs);
  }

  journal(partition: number, fromStep: number, maxSteps: number): Promise<{ step: number; entries: StepJournalEntry[] }[]> {
    return kafkaJournal(this.taskPlace, partition, fromStep, maxSteps);
  }

  /** The broker compacts in its own time, within the span of the topic's settings. */
  async compact(topic: string): Promise<{ removed: number }> {
    if (this.topics.find(topic).cleanup !== 'compact') throw new IflexError('CONFIG_INVALID', `The topic ${topic} is not a compacted one.`);
    return { removed: 0 };
  }

  /** `removed` counts offsets, which the ends of transactions have too. */
  async retain(topic: string, beforeAppendedMs: number): Promise<{ removed: number }> {
    const { cleanup, partitions } = this.topics.find(topic);
    if (cleanup !== 'retain') throw new IflexError('CONFIG_INVALID', `The topic ${topic} keeps its events; it has no retention.`);
    let removed = 0;
    for (let partition = 0; partition < partitions; partition++) {
      const place = this.placeOf({ topic, partition });
      const before = await this.offsetAtAppendedTime({ topic, partition }, beforeAppendedMs);
      const [start] = await this.reader.starts([place]);
      if (before <= start) continue;
      await deleteBefore(this.cluster, place, before);
      removed += before - start;
    }
    return { removed };
  }

  waitForAppend(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return this.watch.wait(timeoutMs, signal);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.turn;
    await this.watch.close();
    await this.cluster.close();
  }
}
