/**
 * A process that runs tasks over Kafka, exactly once and with durable state, as `iflex run` runs them: all of a namespace,
 * or a share of them. Facts may be read from one namespace while state and outputs go to another, so that each run begins
 * anew. Says how far it is, and what that took, whenever it is asked. Its parent: kafka-tasks-processes.ts.
 */
import { resampler } from '../../processors/resampler/resampler.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaMembership } from '../../streams/kafka-membership.ts';
import type { KafkaSettings } from '../../streams/kafka-settings.ts';
import { ALL_PARTITIONS, type Crew, type Membership, soleMembership } from '../../streams/membership.ts';
import type { Processor } from '../../streams/processor.ts';
import { runTasks } from '../../streams/run.ts';
import { findTopic } from '../../streams/topics.ts';
import { numberedCodec } from './numbered-codec.ts';

export interface TasksRunOptions {
  kafka: KafkaSettings;
  /** Of the facts. */
  namespace: string;
  /** Of state and outputs; may be the same. */
  own: string;
  processors: 'resampler' | 'topology';
  /** Whether it shares the tasks with other processes. */
  isShared: boolean;
}

/** What a process has done so far. */
export interface TasksRunReport {
  /** Of committed steps. */
  records: number;
  steps: number;
  cpuSeconds: number;
  peakMegabytes: number;
  /** Partitions whose tasks it runs. */
  held: number[];
}

export type TasksRunRequest = 'report' | 'stop';

const { kafka, namespace, own, processors, isShared } = JSON.parse(process.argv[2]) as TasksRunOptions;
const log = await openKafkaLog({ settings: kafka, namespace: own });
const facts = namespace === own ? log : await openKafkaLog({ settings: kafka, namespace });
const { codec } = numberedCodec();

/** The tasks' log, but for facts. */
const joined = Object.create(log) as EventLog;
joined.readMany = (requests, options) => {
  const isFacts = requests.every(({ at }) => findTopic(at.topic)!.kind === 'fact');
  return (isFacts ? facts : log).readMany(requests, options);
};
joined.waitForAppend = (timeoutMs, signal) => facts.waitForAppend(timeoutMs, signal);

let crew: Crew | undefined;
const membership = isShared ? kafkaMembership(kafka, own) : soleMembership(ALL_PARTITIONS);
const seen: Membership = {
  isShared,
  follow: (given, signal) => membership.follow((crew = given), signal),
};
const stopping = new AbortController();
const running = runTasks({
  ...{ log: namespace === own ? log : joined, codec, codeVersion: 'bench', configurationHash: 'bench', signal: stopping.signal },
  processors: processors === 'topology' ? TOPOLOGY : [resampler as Processor],
  membership: seen,
});

function report(): TasksRunReport {
  const { user, system } = process.cpuUsage();
  return {
    records: running.tasks.reduce((sum, { progress }) => sum + progress.records, 0),
    steps: running.tasks.reduce((sum, { progress }) => sum + progress.committed, 0),
    cpuSeconds: (user + system) / 1e6,
    peakMegabytes: process.resourceUsage().maxRSS / 1000,
    held: crew?.held() ?? [],
  };
}

process.on('message', (request: TasksRunRequest) => {
  if (request === 'report') process.send!(report());
  else stopping.abort();
});
await running.stopped;
await Promise.all(facts === log ? [log.close()] : [facts.close(), log.close()]);
process.disconnect();
