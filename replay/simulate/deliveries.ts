/** What a site's gateway sends: all readings since the last time, at regular times. */
import type { PointReadings } from '../../schemas/types.ts';
import type { Fact } from '../facts.ts';
import type { Meter } from './meters.ts';
import type { CleanSite } from './sites.ts';

export interface Delivery {
  topic: Meter['topic'];
  /** Begin of the time that it tells of. */
  periodMs: number;
  /** When it is sent. */
  knownAtMs: number;
  series: DeliveredSeries[];
}

/** Consecutive readings of one device. */
export interface DeliveredSeries {
  meter: Meter;
  deviceId: string | null;
  startMs: number[];
  value: number[];
}

/** Deliveries in order of their periods; readings at the very end of the span travel with the last one. */
export function deliveriesOf({ meters, deliveryEveryMs, sendAfterMs }: CleanSite, startMs: number, endMs: number): Delivery[] {
  const deliveries: Delivery[] = [];
  const next = new Map(meters.map((meter) => [meter, 0]));
  for (let periodMs = startMs; periodMs < endMs; periodMs += deliveryEveryMs) {
    const toMs = periodMs + deliveryEveryMs < endMs ? periodMs + deliveryEveryMs : Number.POSITIVE_INFINITY;
    const knownAtMs = periodMs + deliveryEveryMs + sendAfterMs;
    for (const topic of ['meter.readings', 'sensor.readings'] as const) {
      const series: DeliveredSeries[] = [];
      for (const meter of meters) {
        if (meter.topic !== topic) continue;
        const from = next.get(meter)!;
        let to = from;
        while (to < meter.startMs.length && meter.startMs[to] < toMs) to++;
        next.set(meter, to);
        series.push(...byDevice(meter, from, to));
      }
      if (series.length > 0) deliveries.push({ topic, periodMs, knownAtMs, series });
    }
  }
  return deliveries;
}

/** Readings [from, to) of a meter, divided where its device changes. */
function byDevice(meter: Meter, from: number, to: number): DeliveredSeries[] {
  const series: DeliveredSeries[] = [];
  for (let i = from; i < to; i++) {
    let last = series.at(-1);
    if (last?.deviceId !== meter.deviceId[i] || last === undefined)
      series.push((last = { meter, deviceId: meter.deviceId[i], startMs: [], value: [] }));
    last.startMs.push(meter.startMs[i]);
    last.value.push(meter.value[i]);
  }
  return series;
}

/** The facts of a site in the order in which they became known, numbered in that order. */
export function deliveryFacts(siteId: string, deliveries: readonly Delivery[]): Fact<'ReadingsDelivery'>[] {
  const inOrder = [...deliveries].sort((a, b) => a.knownAtMs - b.knownAtMs || (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0));
  return inOrder.map(({ topic, knownAtMs, series }, number) => ({
    topic,
    schema: 'ReadingsDelivery',
    key: siteId,
    value: { siteId, knownAtMs, series: series.map(readingsOf) },
    source: `simulated ${siteId}`,
    number,
  }));
}

const UNIT_OF_KIND = {
  MEAN_POWER: 'WATT',
  INSTANT_POWER: 'WATT',
  INTERVAL_ENERGY: 'MILLIWATT_HOUR',
  REGISTER: 'MILLIWATT_HOUR',
  TEMPERATURE: 'DEGREE_CELSIUS',
  STATE: 'CODE',
  UNKNOWN: 'UNKNOWN',
} as const;
const MEASURED = Uint8Array.of(0);

function readingsOf({ meter: { declared }, deviceId, startMs, value }: DeliveredSeries): PointReadings {
  const unit = UNIT_OF_KIND[declared.kind];
  const isEnergy = unit === 'MILLIWATT_HOUR';
  return {
    pointId: declared.pointId,
    unit,
    deviceId,
    startMs: startMs.map((ms, i) => (i === 0 ? ms : ms - startMs[i - 1])),
    value: isEnergy ? [] : value,
    energyMilliWh: isEnergy ? value : [],
    quality: MEASURED,
  };
}
