/**
 * Where the raw readings of a site and UTC day stand in the log: the first and last offset within each block of offsets.
 * A reload of a day reads these ranges instead of the whole log. Blocks are fixed, so that the rows do not depend on how
 * events fell into batches.
 */
import type { ReadingsDelivery } from '../schemas/types.ts';
import { DAY_MS } from '../streams/limits.ts';
import { readSql } from './migrations.ts';
import type { Projection } from './projection.ts';

/** Offsets of a block: a day's deliveries of a site, when many sites share the partition. */
const BLOCK_OFFSETS = 512;
const MAX_UTC_DAY = 2 ** 31 - 1;

interface Range {
  siteId: string;
  topic: string;
  day: number;
  block: number;
  first: number;
  last: number;
}

export const dayIndexProjection: Projection = {
  name: 'day-index',
  version: 1,
  sql: readSql('day-index.v1.sql'),
  topics: ['meter.readings', 'sensor.readings'],
  tables: ['day_index'],
  async apply(client, table, events) {
    const sites = new Map<string, Range[]>();
    for (const { record, value } of events) {
      const siteId = record.key;
      let ranges = sites.get(siteId);
      if (!ranges) sites.set(siteId, (ranges = []));
      for (const day of daysOf(value as ReadingsDelivery)) note(ranges, siteId, record.topic, day, record.offset);
    }
    const rows = [...sites.values()].flat();
    if (rows.length === 0) return;
    await client.query(
      `INSERT INTO ${table('day_index')} AS known SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) ORDER BY 1, 2, 3, 4
       ON CONFLICT (site_id, utc_day, topic, block) DO UPDATE SET first_offset = least(known.first_offset, excluded.first_offset), last_offset = greatest(known.last_offset, excluded.last_offset)`,
      [
        rows.map((r) => r.siteId),
        rows.map((r) => r.day),
        rows.map((r) => r.topic),
        rows.map((r) => r.block),
        rows.map((r) => r.first),
        rows.map((r) => r.last),
      ],
    );
  },
};

/** Offsets of a topic ascend, so that the range to extend is among the last ones; back-fill in random order has many days. */
function note(ranges: Range[], siteId: string, topic: string, day: number, offset: number): void {
  const block = Math.floor(offset / BLOCK_OFFSETS);
  for (let i = ranges.length - 1; i >= 0; i--) {
    const range = ranges[i];
    if (range.topic !== topic || range.block !== block) break;
    if (range.day !== day) continue;
    range.last = offset;
    return;
  }
  ranges.push({ siteId, topic, day, block, first: offset, last: offset });
}

/** UTC days of a delivery's readings, in the order in which they appear. */
function daysOf(delivery: ReadingsDelivery): number[] {
  const days: number[] = [];
  let from = 0;
  let to = 0;
  for (const series of delivery.series) {
    let startMs = 0;
    for (const step of series.startMs) {
      startMs += step;
      if (startMs >= from && startMs < to) continue;
      const day = Math.floor(startMs / DAY_MS);
      from = day * DAY_MS;
      to = from + DAY_MS;
      if (Math.abs(day) <= MAX_UTC_DAY && !days.includes(day)) days.push(day);
    }
  }
  return days;
}
