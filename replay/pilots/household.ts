/**
 * The real household of the demo pilot: one-minute rows of its file as deliveries of an hour each. Times in the file
 * are at a fixed offset, UTC+1, all the year (there is no jump where the clocks of the country change).
 */
import { gunzipSync } from 'node:zlib';
import type { PointReadings, SiteDeclared } from '../../schemas/types.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';

export const SLICE_FILE = 'household.csv.gz';
/** kW as the mean of the minute, then Wh in the minute. */
export const SLICE_COLUMNS = ['date_time', 'Global_active_power', 'Sub_metering_1', 'Sub_metering_2', 'Sub_metering_3'] as const;
export const SLICE_FIRST_MINUTE = '2007-04-15 00:00:00';
export const SLICE_DAYS = 28;
export const SLICE_MINUTES = SLICE_DAYS * 24 * 60;
const OFFSET_MS = HOUR_MS;
/** Midnight of the first day, as the file counts time. */
export const SLICE_START_MS = Date.UTC(2007, 3, 15) - OFFSET_MS;

/** Columns by the name of the point that takes them, with the factor to canonical units (W, mWh). */
const POINT_OF_COLUMN = {
  Global_active_power: 'grid',
  Sub_metering_1: 'kitchen',
  Sub_metering_2: 'laundry',
  Sub_metering_3: 'water-heater-and-air-conditioning',
};
const SEND_AFTER_MS = 10_000;
const MEASURED = Uint8Array.of(0);

/** Deliveries in the order in which they became known; minutes without values are left out. */
export function* householdDeliveries(gzipped: Uint8Array, site: SiteDeclared): Generator<Fact<'ReadingsDelivery'>> {
  const [header, ...lines] = gunzipSync(gzipped).toString('utf8').trimEnd().split('\n');
  const columns = header.split(',');
  const rows = lines.map((line) => line.split(','));
  const { siteId } = site;
  const minutesPerDelivery = HOUR_MS / MINUTE_MS;
  for (let from = 0; from < rows.length; from += minutesPerDelivery) {
    const hour = rows.slice(from, from + minutesPerDelivery);
    const knownAtMs = startMsOf(hour.at(-1)![0]) + MINUTE_MS + SEND_AFTER_MS;
    const series = columns.slice(1).map((name, i) => readingsOf(hour, i + 1, name as keyof typeof POINT_OF_COLUMN, site));
    if (series[0].startMs.length === 0) continue;
    const number = from / minutesPerDelivery;
    yield {
      topic: 'meter.readings',
      schema: 'ReadingsDelivery',
      key: siteId,
      value: { siteId, knownAtMs, series },
      source: SLICE_FILE,
      number,
    };
  }
}

function readingsOf(hour: string[][], column: number, name: keyof typeof POINT_OF_COLUMN, site: SiteDeclared): PointReadings {
  const { pointId, kind } = site.points.find((point) => point.name === POINT_OF_COLUMN[name])!;
  const told = hour.filter((row) => row[column] !== '');
  const starts = told.map((row) => startMsOf(row[0]));
  // kW to W, Wh to mWh: thousandfold both. Three decimals are what the file has.
  const thousandfold = told.map((row) => Math.round(Number(row[column]) * 1_000_000) / 1_000);
  const isEnergy = kind === 'INTERVAL_ENERGY';
  return {
    pointId,
    unit: isEnergy ? 'MILLIWATT_HOUR' : 'WATT',
    deviceId: null,
    startMs: starts.map((ms, i) => (i === 0 ? ms : ms - starts[i - 1])),
    value: isEnergy ? [] : thousandfold,
    energyMilliWh: isEnergy ? thousandfold : [],
    quality: MEASURED,
  };
}

function startMsOf(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}Z`) - OFFSET_MS;
}
