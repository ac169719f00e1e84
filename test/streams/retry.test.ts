import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { IflexError } from '../../streams/errors.ts';
import { isConnectionLost, keepGoing, linked } from '../../streams/retry.ts';

const withCode = (code: string) => Object.assign(new Error('failed'), { code });

test('lost connections are told from other failures, also as the cause of one', () => {
  for (const code of ['ECONNREFUSED', 'ECONNRESET', '57P01', '57P03', '08006', '53300']) assert.ok(isConnectionLost(withCode(code)), code);
  assert.ok(isConnectionLost(new IflexError('DATABASE_UNREACHABLE', 'gone')));
  assert.ok(isConnectionLost(new Error('Connection terminated unexpectedly')));
  assert.ok(isConnectionLost(new Error('outer', { cause: withCode('EPIPE') })));
  for (const other of [withCode('23505'), withCode('40001'), new IflexError('TASK_FENCED', 'x'), new Error('bad'), 'text'])
    assert.equal(isConnectionLost(other), false);
});

test('work goes on after a lost connection, ends with any other failure, and with the signal', async () => {
  const { signal } = new AbortController();
  let attempts = 0;
  await keepGoing(signal, async () => {
    if (++attempts < 3) throw withCode('ECONNREFUSED');
  });
  assert.equal(attempts, 3);
  await assert.rejects(
    keepGoing(signal, async () => {
      throw withCode('23505');
    }),
    { code: '23505' },
  );
  const stopping = new AbortController();
  await keepGoing(stopping.signal, async () => {
    stopping.abort();
    throw withCode('ECONNREFUSED');
  });
});

test('a linked controller follows its signal, not the other way round', () => {
  const parent = new AbortController();
  const child = linked(parent.signal);
  const other = linked(parent.signal);
  other.abort();
  assert.deepEqual([parent.signal.aborted, child.signal.aborted], [false, false]);
  parent.abort();
  assert.ok(child.signal.aborted && linked(parent.signal).signal.aborted);
});

test('a signal forgets a linked controller that was aborted alone', () => {
  const { signal } = new AbortController();
  linked(signal).abort();
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});
