/** Clusters that cannot write the transactions that the log rests on are refused, with what to do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transactionProblem } from '../../streams/kafka-features.ts';

const FEATURE = 'transaction.version';

test('transactions as of Kafka 4.0 are needed; what is missing says what to do', () => {
  const of39 = {
    supportedFeatures: [{ name: 'metadata.version', maxVersion: 21 }],
    finalizedFeatures: [{ name: 'metadata.version', maxVersionLevel: 21 }],
  };
  for (const old of [of39, {}]) assert.match(transactionProblem(old)!, /older than 4\.0.* Upgrade its brokers/);
  const upgraded = (maxVersionLevel: number) => ({
    supportedFeatures: [{ name: FEATURE, maxVersion: 2 }],
    finalizedFeatures: maxVersionLevel === 0 ? [] : [{ name: FEATURE, maxVersionLevel }],
  });
  for (const level of [0, 1])
    assert.match(
      transactionProblem(upgraded(level))!,
      new RegExp(`has transaction\\.version ${level}, .*upgrade --feature transaction\\.version=2`),
    );
  for (const level of [2, 3]) assert.equal(transactionProblem(upgraded(level)), undefined);
});
