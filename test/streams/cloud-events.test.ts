import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLOUD_EVENT_HEADERS, type CloudEventHeaders, fromCloudEvent, toCloudEvent } from '../../streams/cloud-events.ts';
import type { RecordHeaders } from '../../streams/event-log.ts';
import { idOf } from '../../streams/record-ids.ts';

const fact: RecordHeaders = {
  source: 'gateway/köln 1#a',
  number: 12,
  type: 'ReadingsDelivery',
  knownAtMs: Date.UTC(2026, 2, 29, 1, 2, 3, 4),
};
const derived: RecordHeaders = {
  source: 'resampler',
  number: -1,
  id: '0123456789abcdef0123456789abcdef',
  type: 'ResampledWindows',
  knownAtMs: Date.UTC(2026, 2, 29),
  causes: 'gateway#12 meter.readings/3:100-164',
  run: 'fedcba9876543210fedcba9876543210',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};

test('a fact and a derived event have the headers of the Kafka binding in binary mode', () => {
  assert.deepEqual(toCloudEvent(fact), {
    ce_specversion: '1.0',
    ce_id: 'gateway/köln 1#a#12',
    ce_source: 'gateway/k%C3%B6ln%201%23a',
    ce_type: 'ReadingsDelivery',
    ce_time: '2026-03-29T01:02:03.004Z',
    ce_deliverynumber: '12',
    'content-type': 'application/avro',
  });
  assert.deepEqual(toCloudEvent(derived), {
    ce_specversion: '1.0',
    ce_id: '0123456789abcdef0123456789abcdef',
    ce_source: 'resampler',
    ce_type: 'ResampledWindows',
    ce_time: '2026-03-29T00:00:00.000Z',
    ce_causes: 'gateway#12 meter.readings/3:100-164',
    ce_run: 'fedcba9876543210fedcba9876543210',
    'content-type': 'application/avro',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  });
});

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const anyHeaders: fc.Arbitrary<RecordHeaders> = fc.record(
  {
    source: text,
    number: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 2 ** 51 })),
    id: text.map((id) => `hash ${id}`),
    type: text,
    knownAtMs: fc.oneof(fc.integer({ min: -(2 ** 51), max: 2 ** 51 }), fc.integer({ min: 0, max: 4e12 })),
    causes: text,
    run: text,
    traceparent: text,
  },
  { requiredKeys: ['source', 'number', 'type', 'knownAtMs'], noNullPrototype: true },
);

test('there and back gives the same headers and the same id, under names that CloudEvents allows', () => {
  fc.assert(
    fc.property(anyHeaders, (headers) => {
      const sent = toCloudEvent(headers);
      assert.deepEqual(fromCloudEvent(sent), headers);
      assert.equal(sent.ce_id, idOf({ headers }));
      assert.ok(
        sent.ce_source!.split('/').every((part) => /^([\w.!~*'()-]|%[0-9A-F]{2})*$/.test(part)),
        sent.ce_source,
      );
      assert.ok((sent.ce_time === undefined) !== (sent.ce_knownatms === undefined));
      for (const name of Object.keys(sent)) {
        assert.ok((CLOUD_EVENT_HEADERS as readonly string[]).includes(name));
        assert.match(name, /^(ce_[a-z0-9]{1,20}|content-type|traceparent)$/);
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('times with other zones and parts of milliseconds are read; what must be there and is not is refused', () => {
  const sent = toCloudEvent(fact);
  const timed = (ce_time: string) => fromCloudEvent({ ...sent, ce_time }).knownAtMs;
  assert.equal(timed('2026-03-29T03:02:03+02:00'), Date.UTC(2026, 2, 29, 1, 2, 3));
  assert.equal(timed('2026-03-29t01:02:03.0046z'), Date.UTC(2026, 2, 29, 1, 2, 3, 4));
  const bad: CloudEventHeaders[] = [
    { ...sent, ce_specversion: '0.3' },
    { ...sent, ce_id: undefined },
    { ...sent, ce_type: '' },
    { ...sent, ce_source: undefined },
    { ...sent, ce_source: '%E0%A4%A' },
    { ...sent, ce_time: undefined },
    { ...sent, ce_time: '29.03.2026' },
    { ...sent, ce_time: undefined, ce_knownatms: 'soon' },
    { ...sent, ce_deliverynumber: '-2' },
  ];
  for (const headers of bad) assert.throws(() => fromCloudEvent(headers), { code: 'EVENT_INVALID' }, JSON.stringify(headers));
});
