import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { declarationFacts, declare, readDeclarations } from '../../replay/instance/declare.ts';
import type { Instance } from '../../replay/instance/read-instance.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

function instanceOf(pilotId: string, siteIds: string[]): Instance {
  return {
    pilot: { pilotId, knownAtMs: 1000, name: pilotId, country: 'FI', timeZone: 'Europe/Helsinki', language: 'fi', bidZone: null },
    sites: siteIds.map((siteId) => ({
      siteId,
      knownAtMs: 1000,
      pilotId,
      timeZone: 'Europe/Helsinki',
      kind: 'HOME',
      origin: 'MEASURED',
      personalData: null,
      points: [
        {
          pointId: `${siteId}.grid`,
          name: 'grid-import',
          kind: 'MEAN_POWER',
          carrier: 'ELECTRICITY',
          intervalMs: 60_000,
          maxHoldMs: 60_000,
          deliveryDelayMs: 0,
          registerModulusMilliWh: null,
          registerJitterMilliWh: 0,
          mayExport: false,
          forecast: false,
        },
      ],
    })),
  };
}

async function openLog(t: TestContext) {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  t.after(() => log.close());
  return { log, codec: await openRegistry(engine.url, namespace) };
}

test('declaring again changes nothing; a change is one event more, also back to what it was', async (t) => {
  const { log, codec } = await openLog(t);
  const a = instanceOf('a', ['a1', 'a2']);
  assert.deepEqual(await declare(log, codec, a), { appended: 3, unchanged: 0 });
  assert.deepEqual(await declare(log, codec, a), { appended: 0, unchanged: 3 });
  const changed = structuredClone(a);
  changed.sites[0].points[0].forecast = true;
  assert.deepEqual(await declare(log, codec, changed), { appended: 1, unchanged: 2 });
  assert.deepEqual(await declare(log, codec, a), { appended: 1, unchanged: 2 });
  const known = await readDeclarations(log, codec);
  assert.deepEqual(known.sites.get('a1'), { value: a.sites[0], nextNumber: 3 });
  assert.equal(
    (await log.endOffsets('sites')).reduce((sum, end) => sum + end, 0),
    4,
  );
});

test('two pilots share a log, and neither can take a site or a point of the other, also when both declare at once', async (t) => {
  const { log, codec } = await openLog(t);
  assert.deepEqual(await declare(log, codec, instanceOf('a', ['a1'])), { appended: 2, unchanged: 0 });
  assert.deepEqual(await declare(log, codec, instanceOf('b', ['b1'])), { appended: 2, unchanged: 0 });
  await assert.rejects(declare(log, codec, instanceOf('b', ['a1', 'b1'])), {
    code: 'CONFIG_INVALID',
    message: /site a1 belongs to the pilot a/,
  });
  const thief = instanceOf('b', ['b2']);
  thief.sites[0].points[0].pointId = 'a1.grid';
  await assert.rejects(declare(log, codec, thief), { code: 'CONFIG_INVALID', message: /point a1\.grid of site b2 belongs to the site a1/ });

  const both = await Promise.allSettled([declare(log, codec, instanceOf('c', ['x'])), declare(log, codec, instanceOf('d', ['x']))]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const { sites } = await readDeclarations(log, codec);
  assert.deepEqual([...sites.keys()].sort(), ['a1', 'b1', 'x']);
});

test('a replay that fed the same declarations leaves nothing to declare', async (t) => {
  const { log, codec } = await openLog(t);
  const a = instanceOf('a', ['a1']);
  await log.append(
    declarationFacts(a).map(({ topic, schema, key, value, source, number }) => ({
      topic,
      key,
      value: codec.encode(schema, value),
      headers: { source, number, type: schema, knownAtMs: value.knownAtMs },
    })),
  );
  assert.deepEqual(await declare(log, codec, a), { appended: 0, unchanged: 2 });
});
