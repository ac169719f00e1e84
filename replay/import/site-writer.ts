import type { PointReadings, ReadingsDelivery } from '../../schemas/types.ts';
import { MAX_DELIVERY_BYTES, MAX_READINGS_PER_DELIVERY } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import type { Reading } from './rows.ts';

/** Upper bounds of what a reading (time step, value, quality) and a series (names, counts) take in a delivery. */
const READING_BYTES = 15;
const SERIES_BYTES = 60;

/** Gathers the readings of one site for its next delivery. */
export class SiteWriter {
  count = 0;
  private readonly siteId: string;
  private readonly source: string;
  private number = 0;
  private bytes = 0;
  private readonly series = new Map<string, { readings: Reading[] }>();

  constructor(siteId: string, source: string) {
    this.siteId = siteId;
    this.source = source;
  }

  hasRoomFor(reading: Reading): boolean {
    const series = this.series.has(seriesOf(reading)) ? 0 : seriesBytes(reading);
    return this.count < MAX_READINGS_PER_DELIVERY && this.bytes + READING_BYTES + series + 200 <= MAX_DELIVERY_BYTES;
  }

  add(reading: Reading): void {
    const name = seriesOf(reading);
    let series = this.series.get(name);
    if (series === undefined) {
      this.series.set(name, (series = { readings: [] }));
      this.bytes += seriesBytes(reading);
    }
    series.readings.push(reading);
    this.bytes += READING_BYTES;
    this.count++;
  }

  take(topic: string, knownAtMs: number): Fact<'ReadingsDelivery'> {
    const series = [...this.series.values()].map(({ readings }) => columns(readings));
    const value: ReadingsDelivery = { siteId: this.siteId, knownAtMs, series };
    this.series.clear();
    this.count = this.bytes = 0;
    return { topic, schema: 'ReadingsDelivery', key: this.siteId, value, source: this.source, number: this.number++ };
  }
}

/** A series of a delivery is of one point and one device. */
function seriesOf({ pointId, deviceId }: Reading): string {
  return deviceId === null ? pointId : `${pointId} ${deviceId}`;
}

function seriesBytes({ pointId, deviceId }: Reading): number {
  return SERIES_BYTES + 2 * (pointId.length + (deviceId?.length ?? 0));
}

function columns(readings: readonly Reading[]): PointReadings {
  const { pointId, deviceId, rule } = readings[0];
  const isEnergy = rule.conversion.unit === 'MILLIWATT_HOUR';
  const values = readings.map(({ value }) => value);
  const isAlike = readings.every(({ quality }) => quality === readings[0].quality);
  return {
    pointId,
    unit: rule.conversion.unit,
    deviceId,
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: isEnergy ? [] : values,
    energyMilliWh: isEnergy ? values : [],
    quality: Uint8Array.from(isAlike ? [readings[0].quality] : readings.map(({ quality }) => quality)),
  };
}
