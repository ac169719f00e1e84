import { PARTITION_COUNT } from './limits.ts';

/** One row of the one table of topics: what a topic carries, how it is keyed and kept, and why. */
export interface Topic {
  name: string;
  /** Name of the Avro record (schemas/NAME.avsc, or schemas/drafts/NAME.avsc while nothing writes it). */
  schema: string;
  key: 'site' | 'pilot' | 'area' | 'partition';
  kind: 'fact' | 'derived';
  partitions: number;
  /**
   * Keep for ever (facts and models), for a span of appended time (nothing that a projection is rebuilt from), or only
   * the latest event of each key. See maintenance.ts for when.
   */
  cleanup: 'keep' | 'retain' | 'compact';
  retentionMs: number | null;
  /** A draft has a schema but nobody writes it yet, so it is not published and not gated. */
  draft: boolean;
  why: string;
}

const fact = (name: string, schema: string, key: Topic['key'], why: string, draft = false): Topic => ({
  name,
  schema,
  key,
  kind: 'fact',
  partitions: PARTITION_COUNT,
  cleanup: 'keep',
  retentionMs: null,
  draft,
  why,
});
const derived = (name: string, schema: string, key: Topic['key'], why: string): Topic => ({
  name,
  schema,
  key,
  kind: 'derived',
  partitions: PARTITION_COUNT,
  cleanup: 'keep',
  retentionMs: null,
  draft: false,
  why,
});

// biome-ignore format: a table is read by its columns
export const TOPICS: readonly Topic[] = [
  fact('meter.readings', 'ReadingsDelivery', 'site', 'Deliveries of meters; never expire, replays and revisions rest on them.'),
  fact('sensor.readings', 'ReadingsDelivery', 'site', 'Deliveries of sensors (temperature, occupancy); as meters.'),
  fact('ticks', 'Tick', 'partition', 'Stream time of every partition: what closes windows.'),
  fact('sites', 'SiteDeclared', 'site', 'Sites, their points and time zone; the latest declaration counts.'),
  fact('configuration', 'PilotDeclared', 'pilot', 'Pilots: country, zone, providers.'),
  fact('day.reloaded', 'DayReloaded', 'site', 'Raw readings of a point and UTC day, read back to revise windows older than the hot state.'),
  fact('weather.forecasts', 'WeatherForecast', 'area', 'Draft: issued forecasts, by area.', true),
  fact('weather.observations', 'WeatherObservation', 'area', 'Draft: observed weather, by area.', true),
  fact('tariffs', 'TariffDeclared', 'area', 'Draft: tariffs and prices, by zone.', true),
  fact('dr.signals', 'DemandResponseSignal', 'site', 'Draft: demand-response signals.', true),
  fact('device.states', 'DeviceState', 'site', 'Draft: states reported by devices.', true),
  fact('preferences', 'PreferencesDeclared', 'site', 'Draft: what residents wish.', true),
  fact('feedback', 'FeedbackGiven', 'site', 'Draft: comfort and app feedback.', true),
  derived('resampled.5m', 'ResampledWindows', 'site', 'Aligned series at 5 minutes, with revisions.'),
  derived('resampled.15m', 'ResampledWindows', 'site', 'Aligned series at 15 minutes, with revisions.'),
  derived('resampled.60m', 'ResampledWindows', 'site', 'Aligned series at 60 minutes, with revisions.'),
  derived('forecasts', 'ForecastIssued', 'site', 'Issued forecasts with quantiles; an issue is never overwritten.'),
  derived('revisions.requested', 'RevisionRequested', 'site', 'Days older than the hot state that late readings touched.'),
  derived('notices', 'DataNotice', 'site', 'What the data show about themselves: doubles, resets, swaps, stuck meters, outliers.'),
  { ...derived('rejected', 'Rejected', 'site', 'Whatever could not be used, with bytes and reason.'), cleanup: 'keep' },
  derived('runs', 'RunStarted', 'partition', 'What made the outputs of each run of a task: code, configuration, seed, models, schemas.'),
  { ...derived('sites.latest', 'SiteDeclared', 'site', 'Latest declaration of each site, for those that start late.'), cleanup: 'compact' },
];

export const READINGS_TOPICS = ['meter.readings', 'sensor.readings'] as const;

const byName = new Map(TOPICS.map((topic) => [topic.name, topic]));

/** The table's row, or undefined where no such topic exists. */
export function findTopic(name: string): Topic | undefined {
  return byName.get(name);
}
