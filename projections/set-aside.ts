/** What could not be used (`rejected`) and what the data show about themselves (`notices`), newest first by knownAt. */
import type { DataNotice, Rejected } from '../schemas/types.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import { readSql } from './migrations.ts';
import type { Projection } from './projection.ts';

const REJECTED = [
  'topic_partition',
  'topic_offset',
  'site_id',
  'point_id',
  'known_at',
  'start_at',
  'code',
  'reason',
  'source',
  'reading_count',
  'bytes',
  'byte_length',
  'sha256',
];
const NOTICE = [
  'topic_partition',
  'topic_offset',
  'site_id',
  'point_id',
  'known_at',
  'start_at',
  'kind',
  'value',
  'other_value',
  'notice_count',
];

export const setAsideProjection: Projection = {
  name: 'set-aside',
  version: 1,
  sql: readSql('set-aside.v1.sql'),
  topics: ['rejected', 'notices'],
  tables: ['rejected', 'notice'],
  load: { indexLater: () => ['rejected', 'notice'] },
  async apply(client, table, events) {
    const rejected = new BinaryRows();
    const notices = new BinaryRows();
    for (const { record, value } of events) {
      if (record.topic === 'rejected') writeRejected(rejected, record.partition, record.offset, value as Rejected);
      else writeNotice(notices, record.partition, record.offset, value as DataNotice);
    }
    await copyRows(client, table('rejected'), REJECTED, rejected);
    await copyRows(client, table('notice'), NOTICE, notices);
  },
};

function writeRejected(rows: BinaryRows, partition: number, offset: number, event: Rejected): void {
  rows.begin(REJECTED.length);
  rows.int4(partition);
  rows.int8(offset);
  rows.text(event.siteId);
  rows.text(event.pointId);
  rows.timestamp(event.knownAtMs);
  if (event.startMs === null || event.startMs > 8.64e15 || event.startMs < -6e13) rows.text(null);
  else rows.timestamp(event.startMs);
  rows.text(event.code);
  rows.text(event.reason.replaceAll('\0', ''));
  rows.text(event.source);
  rows.int4(event.readingCount);
  rows.raw(event.bytes);
  rows.int8(event.byteLength);
  rows.text(event.sha256);
}

function writeNotice(rows: BinaryRows, partition: number, offset: number, event: DataNotice): void {
  rows.begin(NOTICE.length);
  rows.int4(partition);
  rows.int8(offset);
  rows.text(event.siteId);
  rows.text(event.pointId);
  rows.timestamp(event.knownAtMs);
  rows.timestamp(event.startMs);
  rows.text(event.kind);
  for (const value of [event.value, event.otherValue]) {
    if (value === null) rows.text(null);
    else rows.float8(value);
  }
  rows.int8(event.count);
}
