import assert from 'node:assert/strict';
import { test } from 'node:test';
import { protocolErrors } from '@platformatic/kafka';
import type { IflexError } from '../../streams/errors.ts';
import { BrokerError, isPassing, kafkaError } from '../../streams/kafka-cluster.ts';
import { isConnectionLost } from '../../streams/retry.ts';

const told = (id: keyof typeof protocolErrors) => kafkaError(new BrokerError(protocolErrors[id].code, 'a request')) as IflexError;

test('what no further attempt cures is no lost connection, and names the error', () => {
  for (const id of ['MESSAGE_TOO_LARGE', 'INVALID_RECORD', 'POLICY_VIOLATION', 'UNSUPPORTED_VERSION', 'INVALID_CONFIG'] as const) {
    const error = told(id);
    assert.equal(error.code, 'CONFIG_INVALID', id);
    assert.match(error.message, new RegExp(id));
    assert.equal(isConnectionLost(error), false, id);
  }
});

test('what is refused says what to do', () => {
  assert.match(told('RECORD_LIST_TOO_LARGE').message, /max\.message\.bytes.*segment\.bytes/);
  assert.match(told('UNSUPPORTED_COMPRESSION_TYPE').message, /KAFKA_COMPRESSION/);
  assert.match(told('INVALID_TRANSACTION_TIMEOUT').message, /transaction\.max\.timeout\.ms/);
  const mixed = told('INCONSISTENT_GROUP_PROTOCOL');
  assert.equal(mixed.code, 'CONFIG_INVALID');
  assert.match(mixed.message, /same version/);
});

test('what passes, or is about the state of a writer, is tried again', () => {
  for (const id of [
    'NOT_LEADER_OR_FOLLOWER',
    'COORDINATOR_NOT_AVAILABLE',
    'INVALID_PRODUCER_ID_MAPPING',
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    'TRANSACTION_ABORTABLE',
    // As where bytes were changed on their way.
    'CORRUPT_MESSAGE',
  ] as const) {
    const error = told(id);
    assert.equal(error.code, 'KAFKA_UNREACHABLE', id);
    assert.ok(isConnectionLost(error), id);
  }
  assert.ok(isPassing(new BrokerError(protocolErrors.NOT_LEADER_OR_FOLLOWER.code, 'a request')));
});
