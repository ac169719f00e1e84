/** The clients of others at our registry, over a real port: they decode what the topics carry, and are told that they cannot write. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import type { LogRecord } from '../../streams/event-log.ts';
import { findTopic } from '../../streams/topics.ts';
import { openFixture } from './fixture.ts';

const { app, pipeline, token } = await openFixture();
const { log, codec } = pipeline;
const { token: password } = await token('data-scientist');
const host = await app.listen({ port: 0, host: '127.0.0.1' });
const registry = new SchemaRegistry({ host, auth: { username: 'iflex', password }, retry: { retries: 0 } });

async function firstRecord(topic: string): Promise<LogRecord> {
  const partition = (await log.endOffsets(topic)).findIndex((end) => end > 0);
  return (await log.read({ topic, partition }, 0, { maxRecords: 1, maxBytes: 1_000_000 })).records[0];
}

/** Plain values: bytes as their numbers, records without their prototypes. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

describe('@kafkajs/confluent-schema-registry', () => {
  for (const topic of ['meter.readings', 'sites', 'ticks', 'resampled.15m', 'notices', 'rejected', 'runs'])
    it(`decodes what ${topic} carries`, async () => {
      const { value } = await firstRecord(topic);
      const decoded = plain(await registry.decode(Buffer.from(value)));
      const ours = plain(codec.decodeAs(findTopic(topic)!.schema, value));
      assert.deepEqual(Object.keys(decoded).sort(), Object.keys(ours).sort());
      for (const name of ['siteId', 'knownAtMs', 'runId', 'code']) assert.deepEqual(decoded[name], ours[name], name);
      if (topic === 'resampled.15m') {
        assert.deepEqual(decoded.series[0].startMs, ours.series[0].startMs);
        assert.deepEqual(decoded.series[0].energyMilliWh, ours.series[0].energyMilliWh);
      }
    });

  it('finds ids by subject', async () => {
    const id = await registry.getLatestSchemaId('resampled.15m-value');
    assert.equal(id, Buffer.from((await firstRecord('resampled.15m')).value).readInt32BE(1));
    assert.equal(await registry.getRegistryId('resampled.15m-value', 1), id);
  });

  it('is told what to do instead where it would register or look up by text', async () => {
    const schema = { type: 'record' as const, name: 'Own', namespace: 'mine', fields: [{ name: 'a', type: 'int' as const }] };
    const readOnly = /METHOD_NOT_ALLOWED: .*This registry is read-only: .*auto\.register\.schemas/;
    await assert.rejects(registry.register(schema, { compatibility: 'FULL_TRANSITIVE' as never }), readOnly);
    await assert.rejects(registry.register(schema, { subject: 'ticks-value', compatibility: 'FULL_TRANSITIVE' as never }), readOnly);
    await assert.rejects(registry.getRegistryIdBySchema('ticks-value', schema as never), readOnly);
  });
});

describe('what other clients ask on start', () => {
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(`${host}${path}`, { method, headers: { authorization: `Basic ${btoa(`x:${password}`)}` } });
    return {
      status: answer.status,
      allow: answer.headers.get('allow'),
      type: answer.headers.get('content-type'),
      body: (await answer.json()) as Record<string, string | number>,
    };
  };

  it('has its answer: mode, configuration, types, a schema of a subject with the parameters they send', async () => {
    assert.deepEqual((await ask('/mode')).body, { mode: 'READONLY' });
    assert.deepEqual((await ask('/mode/ticks-value?defaultToGlobal=true')).body, { mode: 'READONLY' });
    assert.deepEqual((await ask('/config/ticks-value?defaultToGlobal=true')).body, { compatibilityLevel: 'FULL_TRANSITIVE' });
    assert.deepEqual((await ask('/config/none')).body.error_code, 40401);
    assert.deepEqual([(await ask('/schemas/types')).body].flat(), ['AVRO']);
    const latest = (await ask('/subjects/ticks-value/versions/latest?format=&deleted=false')).body;
    assert.equal((await ask(`/schemas/ids/${latest.id}?subject=ticks-value&fetchMaxId=false&format=`)).body.schema, latest.schema);
  });

  it('is refused in their own form where it writes', async () => {
    for (const [path, method, allow] of [
      ['/subjects/ticks-value', 'POST', ''],
      ['/subjects/ticks-value', 'DELETE', ''],
      ['/subjects/ticks-value/versions', 'POST', 'GET, HEAD'],
      ['/compatibility/subjects/ticks-value/versions/latest', 'POST', ''],
      ['/config', 'PUT', 'GET, HEAD'],
      ['/mode', 'PUT', 'GET, HEAD'],
    ]) {
      const answer = await ask(path, method);
      assert.deepEqual([answer.status, answer.body.error_code, answer.allow], [405, 40501, allow], path);
      assert.match(answer.type!, /^application\/vnd\.schemaregistry\.v1\+json/);
      assert.match(String(answer.body.message), /^METHOD_NOT_ALLOWED: .*read-only/);
    }
  });
});
