/**
 * Resampling over a real broker, exactly once and with durable state, against Kafka Streams (exactly_once_v2, RocksDB with
 * changelogs, one thread, tuned as far as was found: test/peers/kafka-streams/run.ts), per CPU second of the client process
 * once it is warm. Both read the same records of the same topics and write windows of 5, 15 and 60 minutes. Ours also
 * keeps a journal, gives every output a content id and its causes, and applies every rule; the peer writes each window
 * once, after its grace. The windows of some sites are held against plain sums on both sides.
 */
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { openPlace } from '../../infra/services/place.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { type KafkaSettings, kafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { outputTopic, runKafkaStreams, WIDTHS_MINUTES } from '../peers/kafka-streams/run.ts';
import { withServicesOfARun } from '../services-of-a-run.ts';
import { type Benchmark, type Figures, type Measured, pairs } from './benchmark.ts';
import { graceMinutesOf, type LoadedReadings, loadReadings } from './kafka-readings.ts';
import { runTasksIn, type TasksFigures } from './kafka-tasks-processes.ts';
import { assertWindows, windowsIn } from './kafka-windows.ts';
import { numberedCodec } from './numbered-codec.ts';

const NAMESPACE = 'exactly_once';
const POINTS = 1_000;
const POINTS_PER_SITE = 50;
const WATCHED_SITES = 2;
const PAIRS = 3;
/** Single readings, or readings in deliveries of 60; with what the first of them are left out, as code is compiled then. */
const SIZES = {
  1: { full: 5_000_000, quick: 600_000, warmUp: 1 / 5 },
  60: { full: 15_000_000, quick: 1_500_000, warmUp: 1 / 3 },
} as const;

const { codec, idOf } = numberedCodec();

interface Setting {
  kafka: KafkaSettings;
  readingsPerDelivery: 1 | 60;
  warmUp: number;
  loaded: LoadedReadings;
}

/** Readings per CPU second, once warm. */
async function ours({ kafka, readingsPerDelivery, warmUp, loaded }: Setting, figures: TasksFigures[]): Promise<number> {
  const own = `${NAMESPACE}_ours_${figures.length}`;
  const warmUpRecords = Math.floor(loaded.records * warmUp);
  try {
    const options = { kafka, namespace: NAMESPACE, own, processors: 'resampler', isShared: false } as const;
    const run = await runTasksIn(1, options, { records: loaded.records, warmUpRecords });
    figures.push(run);
    const log = await openKafkaLog({ settings: kafka, namespace: own });
    for (const width of WIDTHS_MINUTES) {
      const expected = loaded.expected.closed(width * MINUTE_MS, graceMinutesOf(readingsPerDelivery) * MINUTE_MS);
      assertWindows(await windowsIn(log, outputTopic(width), codec), expected);
    }
    await log.close();
    return ((loaded.readings / loaded.records) * run.warmRecords) / run.warmCpuSeconds;
  } finally {
    await dropKafkaNamespace(kafka, own);
  }
}

async function peer({ kafka, readingsPerDelivery, warmUp, loaded }: Setting): Promise<number> {
  const graceMinutes = graceMinutesOf(readingsPerDelivery);
  const { figures } = await runKafkaStreams(
    {
      ...{ kafka, namespace: NAMESPACE, deliveries: loaded.deliveries, graceMinutes, threads: 1 },
      windowsSchemaId: idOf('ResampledWindows'),
      warmUpReadings: Math.floor(loaded.readings * warmUp),
    },
    async (written) => {
      for (const width of WIDTHS_MINUTES)
        assertWindows(
          await windowsIn(written, outputTopic(width), codec),
          loaded.expected.closed(width * MINUTE_MS, graceMinutes * MINUTE_MS),
        );
    },
  );
  return figures.readingsPerCpuSecond;
}

async function measure(kafka: KafkaSettings, readingsPerDelivery: 1 | 60, quick: boolean): Promise<{ ratio: number; figures: Figures }> {
  const { full, quick: few, warmUp } = SIZES[readingsPerDelivery];
  await dropKafkaNamespace(kafka, NAMESPACE);
  const log = await openKafkaLog({ settings: kafka, namespace: NAMESPACE });
  const sizes = { seed: 17, points: POINTS, pointsPerSite: POINTS_PER_SITE, readingsPerDelivery, readings: quick ? few : full };
  const loaded = await loadReadings({ log, codec, ...sizes, watchedSites: WATCHED_SITES });
  await log.close();
  const setting: Setting = { kafka, readingsPerDelivery, warmUp, loaded };
  const runs: TasksFigures[] = [];
  const measured = await pairs(
    quick ? 1 : PAIRS,
    () => ours(setting, runs),
    () => peer(setting),
  );
  await dropKafkaNamespace(kafka, NAMESPACE);
  const form = readingsPerDelivery === 1 ? 'single' : 'batched';
  const latest = runs.at(-1)!;
  return {
    ratio: measured.ratio,
    figures: {
      [`${form}: readings`]: loaded.readings,
      [`${form}, ours: readings per client CPU second`]: measured.ours,
      [`${form}, Kafka Streams: readings per client CPU second`]: measured.peer,
      [`${form}: ratios of the pairs`]: measured.ratios.map((ratio) => ratio.toFixed(2)).join(', '),
      [`${form}, ours: readings per second of wall time, whole run`]: loaded.readings / latest.wallSeconds,
      [`${form}, ours: steps`]: latest.steps,
      [`${form}, ours: peak MB`]: latest.peakMegabytes,
    },
  };
}

function benchmarkOf(name: string, readingsPerDelivery: 1 | 60): Benchmark {
  return {
    targets: [name],
    run: ({ quick }) =>
      withServicesOfARun(async (): Promise<Measured> => {
        const place = openPlace(() => {});
        await up(place, 'kafka');
        const { ratio, figures } = await measure(kafkaSettings(SERVICES.kafka.clientSettings(place))!, readingsPerDelivery, quick);
        return { ratios: { [name]: ratio }, figures };
      }),
  };
}

export const EXACTLY_ONCE_BENCHMARKS: readonly Benchmark[] = [
  benchmarkOf('kafka-exactly-once', 1),
  benchmarkOf('kafka-exactly-once-batched', 60),
];
