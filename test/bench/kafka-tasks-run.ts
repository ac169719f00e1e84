/**
 * Our side of the benchmark over Kafka, in a process of its own: all tasks of a namespace with the resampler, exactly once
 * and with durable state, as `iflex run` runs them, until they have taken in so many records. Facts are read from one
 * namespace, state and outputs go to another, so that each run begins anew. Prints what it measured as JSON.
 */
import { resampler } from '../../processors/resampler/resampler.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import type { KafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import type { Processor } from '../../streams/processor.ts';
import { runTasks } from '../../streams/run.ts';
import { findTopic } from '../../streams/topics.ts';
import { numberedCodec } from './numbered-codec.ts';

export interface TasksRunOptions {
  kafka: KafkaSettings;
  /** Of the facts. */
  namespace: string;
  /** Of state and outputs; new. */
  own: string;
  /** All facts that the namespace holds. */
  records: number;
  /** What is done after so many is told apart, as code is compiled while the first ones are read. */
  warmUpRecords: number;
}

export interface TasksRunFigures {
  cpuSeconds: number;
  wallSeconds: number;
  /** Records taken in once warm, and what they took. */
  warmRecords: number;
  warmCpuSeconds: number;
  warmWallSeconds: number;
  steps: number;
  peakMegabytes: number;
}

const LOOK_EVERY_MS = 10;
const RUN_LIMIT_MS = 20 * MINUTE_MS;

const { kafka, namespace, own, records, warmUpRecords } = JSON.parse(process.argv[2]) as TasksRunOptions;
const facts = await openKafkaLog({ settings: kafka, namespace });
const log = await openKafkaLog({ settings: kafka, namespace: own });
const { codec } = numberedCodec();

/** The tasks' log, but for facts. */
const joined = Object.create(log) as EventLog;
joined.readMany = (requests, options) => {
  const isFacts = requests.every(({ at }) => findTopic(at.topic)!.kind === 'fact');
  return (isFacts ? facts : log).readMany(requests, options);
};
joined.waitForAppend = (timeoutMs, signal) => facts.waitForAppend(timeoutMs, signal);

const stopping = new AbortController();
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return { cpu: (user + system) / 1e6, wall: performance.now() / 1000 };
};
const running = runTasks({
  ...{ log: joined, codec, codeVersion: 'bench', configurationHash: 'bench', signal: stopping.signal },
  processors: [resampler as Processor],
});
const begun = seconds();
let warm: { cpu: number; wall: number; records: number } | undefined;
const done = () => running.tasks.reduce((sum, { progress }) => sum + progress.records, 0);
await new Promise<void>((resolve, reject) => {
  running.stopped.catch(reject);
  const limit = setTimeout(() => reject(new Error(`Only ${done()} of ${records} records were taken in.`)), RUN_LIMIT_MS);
  const looking = setInterval(() => {
    const count = done();
    if (!warm && count >= warmUpRecords) warm = { ...seconds(), records: count };
    if (count < records) return;
    clearInterval(looking);
    clearTimeout(limit);
    resolve();
  }, LOOK_EVERY_MS);
});
const ended = seconds();
stopping.abort();
await running.stopped;
const figures: TasksRunFigures = {
  cpuSeconds: ended.cpu - begun.cpu,
  wallSeconds: ended.wall - begun.wall,
  warmRecords: records - warm!.records,
  warmCpuSeconds: ended.cpu - warm!.cpu,
  warmWallSeconds: ended.wall - warm!.wall,
  steps: running.tasks.reduce((sum, { progress }) => sum + progress.committed, 0),
  peakMegabytes: process.resourceUsage().maxRSS / 1000,
};
console.log(JSON.stringify(figures));
await Promise.all([facts.close(), log.close()]);
