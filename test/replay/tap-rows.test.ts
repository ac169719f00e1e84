/** Rows of events, and their text. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { csvCell, headerLine, rowLine } from '../../replay/tap-format.ts';
import { type Row, rowForm } from '../../replay/tap-rows.ts';
import { Codec } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { ForecastIssued, ReadingsDelivery, Rejected, ResampledWindows } from '../../schemas/types.ts';
import { CLOUD_EVENT_HEADERS } from '../../streams/cloud-events.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import { findTopic, TOPICS } from '../../streams/topics.ts';

const schemas = currentSchemas();
const codec = new Codec(schemas.values());
for (const [i, schema] of [...schemas.values()].entries()) codec.register({ id: i + 1, schema });

const KNOWN_MS = Date.UTC(2026, 2, 29, 1, 2, 3);
const PLACE = { knownAt: '2026-03-29T01:02:03.000Z', appended: '2026-03-29T01:02:04.567Z', partition: 5, offset: 42, id: 'meter#7' };
const START_MS = Date.UTC(2026, 2, 29, 0, 55);

function recordOf(topic: string, value: Uint8Array): LogRecord {
  const headers = { source: 'meter', number: 7, type: findTopic(topic)!.schema, knownAtMs: KNOWN_MS };
  return { topic, partition: 5, offset: 42, appendedMs: KNOWN_MS + 1567, key: 'home', value, headers };
}

const formOf = (topic: string) => rowForm(codec, topic, schemas.get(findTopic(topic)!.schema)!);

function rowsOf(topic: string, value: object): Row[] {
  return formOf(topic).rowsOf(recordOf(topic, codec.encode(findTopic(topic)!.schema, value)));
}

const delivery: ReadingsDelivery = {
  siteId: 'home',
  knownAtMs: KNOWN_MS,
  series: [
    {
      ...{ pointId: 'grid', unit: 'WATT', deviceId: 'm1', energyMilliWh: [] },
      startMs: [START_MS, 60_000],
      value: [1.5, 0],
      quality: Uint8Array.of(0, 3),
    },
    {
      ...{ pointId: 'heat', unit: 'MILLIWATT_HOUR', deviceId: null, value: [] },
      startMs: [START_MS],
      energyMilliWh: [250_000],
      quality: Uint8Array.of(1),
    },
  ],
};

describe('rows of a tap', () => {
  it('are one a reading, with its place; a missing one has no value', () => {
    assert.deepEqual(rowsOf('meter.readings', delivery), [
      {
        site: 'home',
        point: 'grid',
        start: '2026-03-29T00:55:00.000Z',
        value: 1.5,
        unit: 'W',
        quality: 'measured',
        device: 'm1',
        ...PLACE,
      },
      {
        site: 'home',
        point: 'grid',
        start: '2026-03-29T00:56:00.000Z',
        value: null,
        unit: 'W',
        quality: 'missing',
        device: 'm1',
        ...PLACE,
      },
      {
        ...{ site: 'home', point: 'heat', start: '2026-03-29T00:55:00.000Z', value: 250_000, unit: 'mWh', quality: 'estimated' },
        ...{ device: null, ...PLACE },
      },
    ]);
  });

  it('are one a window; one that nothing covers has no values, one without energy no energy', () => {
    const value: ResampledWindows = {
      siteId: 'home',
      knownAtMs: KNOWN_MS,
      widthMs: 300_000,
      series: [
        {
          ...{ pointId: 'room', hasEnergy: false, startMs: [START_MS, 300_000], energyMilliWh: [0, 0] },
          ...{ mean: [20.5, 0], min: [20, 0], max: [21, 0], last: [21, 0], readingCount: [5, 0] },
          ...{ coveredMs: [300_000, 0], measuredMs: [240_000, 0], quality: Uint8Array.of(1, 3), flags: Uint8Array.of(5, 0) },
          ...{ revision: [2, 0], reason: Uint8Array.of(3, 0) },
        },
      ],
    };
    const common = { site: 'home', point: 'room', widthMs: 300_000, energyMilliWh: null };
    assert.deepEqual(rowsOf('resampled.5m', value), [
      {
        ...{ ...common, start: '2026-03-29T00:55:00.000Z', mean: 20.5, min: 20, max: 21, last: 21, readingCount: 5 },
        ...{
          coveredMs: 300_000,
          measuredMs: 240_000,
          quality: 'estimated',
          flags: 'stuck negative',
          revision: 2,
          reason: 'reloaded',
          ...PLACE,
        },
      },
      {
        ...{ ...common, start: '2026-03-29T01:00:00.000Z', mean: null, min: null, max: null, last: null, readingCount: 0 },
        ...{ coveredMs: 0, measuredMs: 0, quality: 'missing', flags: '', revision: 0, reason: 'first', ...PLACE },
      },
    ]);
  });

  it('are one a step of a forecast', () => {
    const value: ForecastIssued = {
      ...{ siteId: 'home', pointId: 'grid', knownAtMs: KNOWN_MS, widthMs: 900_000, model: 'naive@1', method: 'WEEK_AGO' },
      ...{ startMs: [START_MS, 900_000], q10W: [1, 2], q50W: [3, 4], q90W: [5, 6], residualCount: [7, 8] },
    };
    const rows = rowsOf('forecasts', value);
    assert.deepEqual(
      rows.map(({ start, q10W, q50W, q90W, residualCount }) => [start, q10W, q50W, q90W, residualCount]),
      [
        ['2026-03-29T00:55:00.000Z', 1, 3, 5, 7],
        ['2026-03-29T01:10:00.000Z', 2, 4, 6, 8],
      ],
    );
  });

  it('are one for any other event, nested things as JSON, times as ISO, bytes as digits', () => {
    const value: Rejected = {
      ...{ siteId: 'home', knownAtMs: KNOWN_MS, code: 'EVENT_INVALID', reason: 'a "bad", one', source: 'meter.readings/5/41' },
      ...{
        pointId: null,
        startMs: START_MS,
        readingCount: 2,
        startsMs: [START_MS, 60_000],
        bytes: Uint8Array.of(0, 255),
        byteLength: 2,
        sha256: 'ab',
      },
    };
    assert.deepEqual(rowsOf('rejected', value), [
      {
        ...{ site: 'home', code: 'EVENT_INVALID', reason: 'a "bad", one', source: 'meter.readings/5/41', point: null },
        ...{
          start: '2026-03-29T00:55:00.000Z',
          readingCount: 2,
          startsMs: '[1774745700000,60000]',
          bytes: '00ff',
          byteLength: 2,
          sha256: 'ab',
          ...PLACE,
        },
      },
    ]);
    const pilot = { pilotId: 'p', knownAtMs: 0, name: 'P', country: 'FI', timeZone: 'Europe/Helsinki', language: 'fi', bidZone: null };
    assert.equal(rowsOf('configuration', pilot)[0].bidZone, null);
  });

  it('say what is wrong with bytes that are no event, or another one', () => {
    const { rowsOf: garbled, columns } = formOf('meter.readings');
    const [row] = garbled(recordOf('meter.readings', Buffer.from('garbage')));
    assert.match(String(row.problem), /Confluent frame.*The 7 bytes begin with 67617262616765\./);
    assert.equal(row.offset, 42);
    assert.deepEqual(Object.keys(row).sort(), [...columns].sort());
    const [other] = garbled(recordOf('meter.readings', codec.encode('Tick', { knownAtMs: 1 })));
    assert.match(String(other.problem), /are a Tick, not a ReadingsDelivery/);
  });

  it('have the declared columns only, whatever the topic', () => {
    for (const { name, draft } of TOPICS.filter((topic) => !topic.draft)) {
      assert.equal(draft, false);
      const { columns } = formOf(name);
      assert.equal(new Set(columns).size, columns.length, name);
    }
    for (const [topic, value] of [['meter.readings', delivery] as const, ['ticks', { knownAtMs: 5 }] as const])
      for (const row of rowsOf(topic, value))
        for (const column of Object.keys(row)) assert.ok(formOf(topic).columns.includes(column), column);
  });
});

describe('text of rows', () => {
  it('quotes in CSV what has commas, quotes, line ends or outer blanks, and tells empty from null', () => {
    const cells: [Parameters<typeof csvCell>[0], string][] = [
      [null, ''],
      ['', '""'],
      ['plain text', 'plain text'],
      ['a,b', '"a,b"'],
      ['say "hi"', '"say ""hi"""'],
      ['two\nlines', '"two\nlines"'],
      ['carriage\rreturn', '"carriage\rreturn"'],
      [' padded', '" padded"'],
      ['padded ', '"padded "'],
      [-0.25, '-0.25'],
      [false, 'false'],
    ];
    for (const [cell, text] of cells) assert.equal(csvCell(cell), text);
  });

  it('has all columns in CSV, and the columns of the row in JSON', () => {
    const columns = ['site', 'value', 'problem'];
    assert.equal(headerLine('csv', columns), 'site,value,problem\n');
    assert.equal(rowLine('csv', columns, { value: 1, site: 'a,b' }), '"a,b",1,\n');
    assert.equal(headerLine('ndjson', columns), '');
    assert.deepEqual(JSON.parse(rowLine('ndjson', columns, { value: null, site: 'a"b' })), { value: null, site: 'a"b' });
  });

  it('show the headers of CloudEvents where they are asked for, in CSV in fixed columns', () => {
    const form = rowForm(codec, 'meter.readings', schemas.get('ReadingsDelivery')!, true);
    const [row] = form.rowsOf(recordOf('meter.readings', codec.encode('ReadingsDelivery', delivery)));
    assert.deepEqual(
      Object.entries(row).filter(([name]) => name.startsWith('ce_') || name === 'content-type'),
      [
        ['ce_specversion', '1.0'],
        ['ce_id', 'meter#7'],
        ['ce_source', 'meter'],
        ['ce_type', 'ReadingsDelivery'],
        ['ce_time', '2026-03-29T01:02:03.000Z'],
        ['ce_deliverynumber', '7'],
        ['content-type', 'application/avro'],
      ],
    );
    const traced = recordOf('meter.readings', codec.encode('ReadingsDelivery', delivery));
    traced.headers = { ...traced.headers, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
    assert.equal(form.rowsOf(traced)[0].traceparent, traced.headers.traceparent);
    const names = headerLine('csv', form.columns).trimEnd().split(',');
    assert.deepEqual(names.slice(names.indexOf('id') + 1), [...CLOUD_EVENT_HEADERS, 'problem']);
    assert.ok(!('ce_id' in rowsOf('meter.readings', delivery)[0]));
  });
});
