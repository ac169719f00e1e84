/**
 * Where the raw readings of a site and UTC day stand in the log: ranges of offsets, one a batch that was indexed. A
 * reload of a day reads these ranges instead of the whole log.
 */
import type { ReadingsDelivery } from '../schemas/types.ts';
import { DAY_MS } from '../streams/limits.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import type { Projection } from './projection.ts';

const COLUMNS = ['site_id', 'utc_day', 'topic', 'first_offset', 'last_offset'] as const;

export const dayIndexProjection: Projection = {
  name: 'day-index',
  version: 1,
  topics: ['meter.readings', 'sensor.readings'],
  tables: ['day_index'],
  create: (table) =>
    `CREATE TABLE ${table('day_index')} (site_id text COLLATE "C", utc_day int, topic text COLLATE "C", first_offset bigint, last_offset bigint NOT NULL, PRIMARY KEY (site_id, utc_day, topic, first_offset));`,
  async apply(client, table, events) {
    const ranges = new Map<string, { siteId: string; day: number; topic: string; first: number; last: number }>();
    for (const { record, value } of events) {
      for (const day of daysOf(value as ReadingsDelivery)) {
        const name = `${record.key} ${day} ${record.topic}`;
        const range = ranges.get(name);
        if (range) range.last = record.offset;
        else ranges.set(name, { siteId: record.key, day, topic: record.topic, first: record.offset, last: record.offset });
      }
    }
    const rows = new BinaryRows();
    for (const range of ranges.values()) {
      rows.begin(COLUMNS.length);
      rows.text(range.siteId);
      rows.int4(range.day);
      rows.text(range.topic);
      rows.int8(range.first);
      rows.int8(range.last);
    }
    await copyRows(client, table('day_index'), COLUMNS, rows);
  },
};

function daysOf(delivery: ReadingsDelivery): Set<number> {
  const days = new Set<number>();
  for (const series of delivery.series) {
    let startMs = 0;
    for (const step of series.startMs) {
      startMs += step;
      const day = Math.floor(startMs / DAY_MS);
      if (Math.abs(day) < 2_000_000_000) days.add(day);
    }
  }
  return days;
}
