/** Kafka Streams, which benchmarks are held against, does the work: its windows are those of plain sums, each once. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { outputTopic, runKafkaStreams, WIDTHS_MINUTES } from '../peers/kafka-streams/run.ts';
import { openTestServices } from '../services.ts';
import { graceMinutesOf, loadReadings } from './kafka-readings.ts';
import { assertWindows, windowsIn } from './kafka-windows.ts';
import { numberedCodec } from './numbered-codec.ts';

/** So many that one of them changes its meter and some are reset within the time. */
const POINTS = 120;
const POINTS_PER_SITE = 10;
const MINUTES = 600;
const services = await openTestServices('kafka');
const kafka = kafkaSettings(services.settings)!;
const { codec, idOf } = numberedCodec();

for (const readingsPerDelivery of [1, 60] as const) {
  it(`resamples ${readingsPerDelivery === 1 ? 'single readings' : 'hours of readings'} as plain sums do`, async () => {
    const namespace = services.namespace();
    const log = await openKafkaLog({ settings: kafka, namespace });
    try {
      const sizes = { seed: 11, points: POINTS, pointsPerSite: POINTS_PER_SITE, readingsPerDelivery, readings: POINTS * MINUTES };
      const loaded = await loadReadings({ log, codec, ...sizes, watchedSites: POINTS / POINTS_PER_SITE });
      const graceMinutes = graceMinutesOf(readingsPerDelivery);
      const warmUpReadings = Math.floor(loaded.readings / 2);
      const { figures } = await runKafkaStreams(
        {
          kafka,
          namespace,
          deliveries: loaded.deliveries,
          windowsSchemaId: idOf('ResampledWindows'),
          graceMinutes,
          warmUpReadings,
          threads: 2,
        },
        async (written) => {
          for (const width of WIDTHS_MINUTES) {
            const expected = loaded.expected.closed(width * MINUTE_MS, graceMinutes * MINUTE_MS);
            const found = await windowsIn(written, outputTopic(width), codec);
            assertWindows(found, expected);
            assert.equal(found.size, expected.size, 'and no others');
            const changed = [...expected.values()].filter(({ coveredMs }) => coveredMs < width * MINUTE_MS);
            assert.equal(changed.length, 1, 'a minute is unknown where a meter was changed');
          }
        },
      );
      assert.deepEqual([figures.deliveries, figures.readings, figures.late], [loaded.deliveries, loaded.readings, 0]);
      assert.ok(figures.warmReadings >= warmUpReadings && figures.warmCpuSeconds > 0 && figures.readingsPerCpuSecond > 0);
      assert.ok(figures.doubled > 0 && figures.doubled <= loaded.doubled);
    } finally {
      await log.close();
      await dropKafkaNamespace(kafka, namespace);
    }
  });
}
