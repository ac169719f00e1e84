import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { fingerprint, referenceType } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { Processor } from '../../streams/processor.ts';
import { describeRun } from '../../streams/run.ts';
import { joinProbe, testCodec } from './probe.ts';

const codec = testCodec();
const description = () => describeRun({ codec, processors: [joinProbe as Processor], codeVersion: '1.2.3', configurationHash: 'settings' });

test('a run says what made its outputs: code, settings, processors, and what every schema id means', () => {
  const { schemas, ...rest } = description();
  assert.deepEqual(rest, {
    codeVersion: '1.2.3',
    configurationHash: 'settings',
    processors: ['join-probe@1'],
    seed: null,
    models: [],
  });
  assert.deepEqual(
    schemas,
    [...currentSchemas().values()].map((schema, i) => ({ id: i + 1, fingerprint: fingerprint(schema) })),
  );
});

test('a run that was noted before seeds, models and schemas were is read with none of them', () => {
  const first = readFileSync(join(PROJECT_FOLDER, 'schemas', 'history', 'RunStarted', '0001.avsc'), 'utf8');
  const reader = testCodec();
  reader.register({ id: 999, schema: first });
  const old = { runId: 'r', knownAtMs: 5, partition: 3, codeVersion: 'c', configurationHash: 'h', processors: ['p@1'] };
  const framed = Buffer.concat([Buffer.from([0, 0, 0, 999 >> 8, 999 & 255]), referenceType(first).toBuffer(old)]);
  assert.deepEqual(reader.decodeAs('RunStarted', framed), { ...old, seed: null, models: [], schemas: [] });
});
