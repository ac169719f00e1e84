import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixedOffsetMs, instantsOf, stampParser } from '../../replay/import/stamps.ts';

const localOf = (format: string, text: string) => {
  const stamp = stampParser(format)!(text);
  return stamp && new Date(stamp.localMs).toISOString();
};
const instants = (local: string, zone: string) => instantsOf(Date.parse(`${local}Z`), zone).map((ms) => new Date(ms).toISOString());

test('patterns read what they say and nothing else', () => {
  assert.equal(localOf('YYYY-MM-DD HH:mm:ss', '2013-01-31 23:59:58'), '2013-01-31T23:59:58.000Z');
  assert.equal(localOf('D.M.YYYY H:mm', '1.2.2020 7:05'), '2020-02-01T07:05:00.000Z');
  assert.equal(localOf('DD/MM/YYYY', '29/02/2024'), '2024-02-29T00:00:00.000Z');
  assert.equal(localOf('YYYYMMDDTHHmm', '20240229T2400'), '2024-03-01T00:00:00.000Z');
  for (const text of ['2013-1-31 23:59:58', '2013-01-31 23:59', '2013-01-31 23:59:58 ', '2013-13-01 00:00:00', '2013-02-29 00:00:00'])
    assert.equal(localOf('YYYY-MM-DD HH:mm:ss', text), undefined, text);
  for (const text of ['2013-01-01 24:00:01', '2013-01-01 25:00:00', '2013-01-01 00:60:00', '2013-01-01 00:00:60', '2013-00-01 00:00:00'])
    assert.equal(localOf('YYYY-MM-DD HH:mm:ss', text), undefined, text);
  for (const format of ['YYYY-MM', 'DD.MM.YY', 'YYYY-MM-DD hh:mm', 'YYYY-MM-DD AM', 'unix'])
    assert.equal(stampParser(format), undefined, format);
});

test('ISO and epoch stamps say their own instant where they have one', () => {
  const iso = stampParser('iso')!;
  assert.deepEqual(iso('2018-01-02T23:00:00Z'), { localMs: Date.UTC(2018, 0, 2, 23), instantMs: Date.UTC(2018, 0, 2, 23) });
  assert.equal(iso('2018-01-02T23:00:00.1234+02:00')!.instantMs, Date.UTC(2018, 0, 2, 21, 0, 0, 123));
  assert.equal(iso('2018-01-02 23:00')!.instantMs, undefined);
  assert.equal(iso('2018-01-02T23'), undefined);
  assert.equal(stampParser('epoch-s')!('1514934000')!.instantMs, 1_514_934_000_000);
  assert.equal(stampParser('epoch-ms')!('1514934000000')!.instantMs, 1_514_934_000_000);
  assert.equal(stampParser('epoch-s')!('0x10'), undefined);
  assert.equal(stampParser('epoch-s')!(''), undefined);
});

test('fixed offsets', () => {
  assert.equal(fixedOffsetMs('UTC'), 0);
  assert.equal(fixedOffsetMs('+05:45'), 20_700_000);
  assert.equal(fixedOffsetMs('-0330'), -12_600_000);
  assert.equal(fixedOffsetMs('Europe/Helsinki'), undefined);
});

test('a local time has one instant, none in spring, two in autumn', () => {
  assert.deepEqual(instants('2024-07-01T12:00:00', 'Europe/Helsinki'), ['2024-07-01T09:00:00.000Z']);
  assert.deepEqual(instants('2024-03-31T03:30:00', 'Europe/Helsinki'), []);
  assert.deepEqual(instants('2024-03-31T02:59:59', 'Europe/Helsinki'), ['2024-03-31T00:59:59.000Z']);
  assert.deepEqual(instants('2024-03-31T04:00:00', 'Europe/Helsinki'), ['2024-03-31T01:00:00.000Z']);
  assert.deepEqual(instants('2024-10-27T03:30:00', 'Europe/Helsinki'), ['2024-10-27T00:30:00.000Z', '2024-10-27T01:30:00.000Z']);
  // Half an hour of change, on the other side of the world.
  assert.deepEqual(instants('2024-04-07T01:45:00', 'Australia/Lord_Howe'), ['2024-04-06T14:45:00.000Z', '2024-04-06T15:15:00.000Z']);
  // Samoa skipped a whole day.
  assert.deepEqual(instants('2011-12-30T12:00:00', 'Pacific/Apia'), []);
});
