/**
 * Runs Kafka Streams over the deliveries of a namespace, exactly once and with durable state, into a namespace of its own.
 * What was tried to make it fast, with what came of it, stands at `TUNED`.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventLog } from '../../../streams/event-log.ts';
import { openKafkaLog } from '../../../streams/kafka-log.ts';
import { dropKafkaNamespace } from '../../../streams/kafka-namespaces.ts';
import type { KafkaSettings } from '../../../streams/kafka-settings.ts';
import type { Topic } from '../../../streams/topics.ts';
import { findTopic } from '../../../streams/topics.ts';
import { peerProgram } from './build.ts';

export const WIDTHS_MINUTES = [5, 15, 60] as const;
export const outputTopic = (widthMinutes: number) => `resampled.${widthMinutes}m`;

export interface KafkaStreamsOptions {
  kafka: KafkaSettings;
  /** Whose `meter.readings` are read, up to this number of records. */
  namespace: string;
  deliveries: number;
  /** Registry id that the frames of outputs carry. */
  windowsSchemaId: number;
  /** Windows stay open for so long after their end; at least the longest delay of a delivery. */
  graceMinutes: number;
  /** What was done after so many readings is told apart, as code is compiled while the first ones are read. */
  warmUpReadings: number;
  threads: number;
  /** Settings of Kafka Streams and of the virtual machine in place of the tuned ones. */
  settings?: Record<string, string>;
  virtualMachine?: readonly string[];
}

export interface KafkaStreamsFigures {
  deliveries: number;
  readings: number;
  /** Came after their window was closed. */
  late: number;
  doubled: number;
  /** By width. */
  windows: [number, number, number];
  /** Records written to the three topics. */
  outputs: number;
  /** User and system time of the whole process from its start on, and its wall time. */
  cpuSeconds: number;
  wallSeconds: number;
  /** The same up to the end of warming up; 0 where it did not end. */
  warmReadings: number;
  warmCpuSeconds: number;
  warmWallSeconds: number;
  /** Of the wall time, in the collector. */
  collectorSeconds: number;
  peakMegabytes: number;
  /** Once warm; of the whole run where it did not get so far. */
  readingsPerCpuSecond: number;
}

/**
 * The best of what was tried over 4 M single readings of 1,000 points, one thread, once warm, on two shared cores where the
 * same settings differ by some 10 % from run to run. Readings per CPU second:
 *
 *   145–167 k  all defaults (collector G1)
 *   177 k, 194–200 k  the parallel, the serial collector instead; all that follow have the serial one
 *   194 k  commits every second instead of every 100 ms (the default of exactly once), which serves latency, not speed
 *   173 k  a cache of 128 MiB instead of 10 MiB; 164 k larger fetches and polls without checksums: neither helps alone
 *   242–247 k  these three and larger batches of the producer together: what is used
 *   203 k  the same, but with commits every 100 ms; 226 k with fetches of 1 MiB a partition; 239 k with a heap of 2 GiB
 *   228 k  with commits every 5 s, a cache of 256 MiB and polls of 10,000
 *    31 k  the same settings, but a windowed store for each width, as most programs have, not an entry an hour of a point
 *
 * Of 60 readings a delivery, over 8 M readings: 630 k with defaults, 752 k with what is used, 711 k with commits every 100 ms.
 *
 * Our reader does not check the checksums of records either.
 */
const TUNED = {
  settings: {
    'commit.interval.ms': '1000',
    'statestore.cache.max.bytes': String(128 * 1024 * 1024),
    'main.consumer.check.crcs': 'false',
    'main.consumer.max.poll.records': '5000',
    'main.consumer.max.partition.fetch.bytes': String(4 * 1024 * 1024),
    'producer.batch.size': String(256 * 1024),
  },
  virtualMachine: ['-Xms1g', '-Xmx1g', '-XX:+UseSerialGC'],
};
const RUN_LIMIT_MS = 30 * 60_000;

/** Runs it once; `look` sees what it wrote before that is deleted. Throws where it fails. */
export async function runKafkaStreams<T>(
  options: KafkaStreamsOptions,
  look: (log: EventLog) => Promise<T>,
): Promise<{ figures: KafkaStreamsFigures; seen: T }> {
  const { kafka, namespace } = options;
  // Another name each time: the group of consumers outlives its topics, and would go on at their ends.
  const own = `${namespace}_kstreams_${randomBytes(4).toString('hex')}`;
  const topics = WIDTHS_MINUTES.map((width): Topic => findTopic(outputTopic(width))!);
  const log = await openKafkaLog({ settings: kafka, namespace: own, topics });
  const state = mkdtempSync(join(tmpdir(), 'iflex-kstreams-'));
  try {
    const figures = await runProgram(options, own, state);
    return { figures, seen: await look(log) };
  } finally {
    await log.close();
    await dropKafkaNamespace(kafka, own);
    rmSync(state, { recursive: true, force: true });
  }
}

async function runProgram(options: KafkaStreamsOptions, own: string, state: string): Promise<KafkaStreamsFigures> {
  const { java, classPath } = await peerProgram();
  const { kafka, namespace, deliveries, windowsSchemaId, graceMinutes, warmUpReadings, threads } = options;
  const given = {
    brokers: kafka.brokers.join(','),
    input: `${namespace}.meter.readings`,
    output: `${own}.`,
    // Topics of its own are named after it, so that they go with the namespace.
    application: `${own}.program`,
    state,
    deliveries,
    windowsSchemaId,
    graceMinutes,
    warmUpReadings,
  };
  const settings = { 'num.stream.threads': String(threads), ...TUNED.settings, ...options.settings };
  const args = [
    ...(options.virtualMachine ?? TUNED.virtualMachine),
    '-Dlog4j2.configurationFile=log4j2.properties',
    '-cp',
    classPath,
    'Peer',
    ...Object.entries(given).map(([name, value]) => `${name}=${value}`),
    ...Object.entries(settings).map(([name, value]) => `streams.${name}=${value}`),
  ];
  const child = spawn(java, args, { cwd: state, stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_LIMIT_MS });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors = (errors + text).slice(-8_000)));
  const status = await new Promise((done, failed) => child.on('error', failed).on('close', (code, signal) => done(signal ?? code)));
  if (status !== 0) throw new Error(`Kafka Streams failed (${status}): ${errors}`);
  const figures = JSON.parse(output) as Omit<KafkaStreamsFigures, 'readingsPerCpuSecond'>;
  const { readings, cpuSeconds, warmReadings, warmCpuSeconds } = figures;
  return { ...figures, readingsPerCpuSecond: (readings - warmReadings) / (cpuSeconds - warmCpuSeconds) };
}
