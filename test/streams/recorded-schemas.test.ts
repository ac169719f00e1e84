import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Codec, fingerprint } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import { compareWithRecorded } from '../../streams/recorded-schemas.ts';
import { code } from './event-log-fixtures.ts';
import { recordedInMemory } from './recorded-in-memory.ts';

const [first, second, third] = currentSchemas().values();

function codecOf(...schemas: [id: number, schema: string][]): Codec {
  const codec = new Codec([]);
  for (const [id, schema] of schemas) codec.register({ id, schema });
  return codec;
}

test('what ids mean is recorded once, and more of them may come', async () => {
  const recorded = recordedInMemory();
  await compareWithRecorded(recorded, codecOf([1, first]));
  await compareWithRecorded(recorded, codecOf([1, first], [7, second]));
  await compareWithRecorded(recorded, codecOf([7, second], [1, first]));
  assert.deepEqual(
    [...recorded.kept],
    [
      [1, fingerprint(first)],
      [7, fingerprint(second)],
    ],
  );
});

test('another meaning of an id, and a lost one, are refused with the ids, and nothing is recorded', async () => {
  const recorded = recordedInMemory();
  await compareWithRecorded(recorded, codecOf([2, first], [10, second]));
  const before = new Map(recorded.kept);
  for (const [wrong, registry] of [
    ['2', codecOf([2, third], [10, second], [11, first])],
    ['10', codecOf([2, first], [11, third])],
    ['2, 10', codecOf([2, second], [10, first])],
  ] as const)
    await assert.rejects(compareWithRecorded(recorded, registry), (error: Error) => {
      return code('SCHEMA_MISMATCH')(error) && error.message.includes(` ids ${wrong} another`);
    });
  assert.deepEqual(recorded.kept, before);
});

test('of two processes that record different registries at once, the second is refused', async () => {
  const recorded = recordedInMemory([[5, fingerprint(second)]]);
  await assert.rejects(compareWithRecorded(recorded, codecOf([5, first])), code('SCHEMA_MISMATCH'));
  assert.deepEqual(recorded.kept, new Map([[5, fingerprint(second)]]));
});
