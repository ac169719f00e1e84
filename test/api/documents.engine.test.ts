/** What outside tools read: the OpenAPI document, the reference page, and the schema registry. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { validate } from '@scalar/openapi-parser';
import avsc from 'avsc';
import { openFixture } from './fixture.ts';

const { app, pipeline, get } = await openFixture();

describe('the OpenAPI document', () => {
  const document = async () => (await get('/reference/openapi.json', {}, null)).json();

  it('is valid, and needs no token', async () => {
    const { valid, errors } = await validate(await document());
    assert.deepEqual([valid, errors ?? []], [true, []]);
  });

  it('has every route, with its parameters, answers and problems', async () => {
    const { paths, openapi } = await document();
    assert.match(openapi, /^3\.1/);
    const shown = app.guardedRoutes.filter(({ hidden }) => !hidden);
    assert.ok(shown.length >= 20);
    assert.deepEqual(Object.keys(paths).sort(), shown.map(({ url }) => url.replaceAll(/:(\w+)/g, '{$1}')).sort());
    for (const [path, { get: operation, ...others }] of Object.entries<Record<string, never>>(paths)) {
      assert.deepEqual(Object.keys(others), [], path);
      const {
        summary,
        tags,
        responses,
        parameters = [],
      } = operation as { summary: string; tags: string[]; responses: Record<string, never>; parameters?: { name: string; in: string }[] };
      assert.ok(summary && tags.length === 1, path);
      assert.ok(responses['200'], path);
      if (path !== '/metrics') assert.ok(responses['4XX'] && responses['5XX'], path);
      assert.deepEqual(
        parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`),
        path.match(/\{\w+\}/g) ?? [],
        path,
      );
    }
    const series = paths['/v1/sites/{siteId}/points/{pointId}/series'].get;
    const names = series.parameters.map(({ name }: { name: string }) => name);
    for (const name of ['resolution', 'from', 'to', 'asOf', 'tz', 'unit', 'quality', 'completeness', 'limit', 'cursor', 'format'])
      assert.ok(names.includes(name), name);
    assert.deepEqual(Object.keys(series.responses['200'].content), ['application/json', 'text/csv']);
  });

  it('describes the fields that are answered', async () => {
    const { paths } = await document();
    for (const [path, url] of [
      ['/v1/sites', '/v1/sites'],
      ['/v1/sites/{siteId}/points', '/v1/sites/site-a1/points'],
      ['/v1/sites/{siteId}/points/{pointId}/series', '/v1/sites/site-a1/points/grid/series'],
      ['/v1/rejected', '/v1/rejected'],
      ['/v1/notices', '/v1/notices'],
      ['/v1/runs', '/v1/runs'],
    ]) {
      const { properties } = paths[path].get.responses['200'].content['application/json'].schema;
      const answer = (await get(url)).json();
      assert.deepEqual(Object.keys(answer).sort(), Object.keys(properties).sort(), path);
      assert.deepEqual(Object.keys(answer.rows[0]).sort(), Object.keys(properties.rows.items.properties).sort(), path);
    }
  });
});

describe('the reference page', () => {
  it('loads nothing from anywhere else', async () => {
    const page = await get('/reference/', {}, null);
    assert.equal(page.statusCode, 200);
    const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source);
    assert.deepEqual(sources, ['js/scalar.js']);
    assert.match(String(page.headers['content-security-policy']), /default-src 'self'/);
    assert.doesNotMatch(String(page.headers['content-security-policy']), /https?:/);
    const script = await get('/reference/js/scalar.js', {}, null);
    assert.match(String(script.headers['content-type']), /javascript/);
    assert.ok(script.body.length > 1e6);
    assert.equal((await get('/', {}, null)).headers.location, '/reference/');
    const icon = await get('/favicon.ico', {}, null);
    assert.deepEqual([icon.statusCode, icon.headers['content-type']], [200, 'image/svg+xml']);
    assert.match(icon.body, /^<svg .*<\/svg>$/);
  });
});

describe('the schema registry', () => {
  it('gives a stranger what it takes to decode a topic', async () => {
    const [record] = (
      await pipeline.log.read({ topic: 'sites', partition: await partitionOfSites() }, 0, { maxRecords: 1, maxBytes: 1_000_000 })
    ).records;
    const framed = Buffer.from(record.value);
    assert.equal(framed[0], 0);
    const answer = await get(`/schemas/ids/${framed.readInt32BE(1)}`);
    assert.match(String(answer.headers['content-type']), /^application\/vnd\.schemaregistry\.v1\+json/);
    const type = avsc.Type.forSchema(JSON.parse(answer.json().schema));
    assert.equal(type.fromBuffer(framed.subarray(5)).siteId, record.key);
  });

  it('lists subjects and versions as Confluent does', async () => {
    const subjects = (await get('/subjects')).json();
    assert.ok(subjects.includes('meter.readings-value') && subjects.length >= 10);
    assert.deepEqual((await get('/subjects/meter.readings-value/versions')).json(), [1]);
    const latest = (await get('/subjects/meter.readings-value/versions/latest')).json();
    assert.deepEqual(Object.keys(latest), ['subject', 'version', 'id', 'schema']);
    assert.deepEqual((await get('/subjects/meter.readings-value/versions/1?deleted=false')).json(), latest);
    assert.equal((await get('/subjects/meter.readings-value/versions/1/schema')).body, latest.schema);
    assert.equal((await get(`/schemas/ids/${latest.id}`)).json().schema, latest.schema);
    const uses = (await get(`/schemas/ids/${latest.id}/versions`)).json();
    assert.deepEqual(
      uses.map(({ subject }: { subject: string }) => subject),
      ['meter.readings-value', 'sensor.readings-value'],
    );
    assert.deepEqual((await get('/schemas/types')).json(), ['AVRO']);
    assert.deepEqual((await get('/config')).json(), { compatibilityLevel: 'FULL_TRANSITIVE' });
  });

  it('fails as Confluent does', async () => {
    const wrong: [string, number, number][] = [
      ['/subjects/none/versions', 404, 40401],
      ['/subjects/none/versions/1', 404, 40401],
      ['/subjects/meter.readings-value/versions/99', 404, 40402],
      ['/subjects/meter.readings-value/versions/first', 422, 42202],
      ['/schemas/ids/999999', 404, 40403],
      ['/schemas/ids/999999/versions', 404, 40403],
    ];
    for (const [url, status, code] of wrong) {
      const answer = await get(url);
      assert.match(String(answer.headers['content-type']), /^application\/vnd\.schemaregistry\.v1\+json/);
      assert.deepEqual([answer.statusCode, answer.json().error_code], [status, code], url);
      assert.equal(typeof answer.json().message, 'string');
    }
    for (const [answer, code] of [
      [await get('/subjects', {}, null), 40101],
      [await get('/schemas/ids/x'), 40001],
      [
        await app.inject({
          method: 'POST',
          url: '/subjects/a/versions',
          headers: { authorization: String((await get('/subjects')).raw.req.headers.authorization) },
        }),
        40501,
      ],
    ] as const)
      assert.equal(answer.json().error_code, code);
  });
});

async function partitionOfSites(): Promise<number> {
  return (await pipeline.log.endOffsets('sites')).findIndex((end) => end > 0);
}
