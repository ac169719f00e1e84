/** The API of a log whose schemas are in Apicurio: who reaches only the API decodes by its ids all the same. */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import { openCodec, openLog } from '../../infra/backend.ts';
import { openApi } from '../../infra/serve-api.ts';
import { fingerprint, schemaIdOf } from '../../schemas/codec.ts';
import { ERROR_CODES } from '../../streams/errors.ts';
import { DAY_MS } from '../../streams/limits.ts';
import { openPool } from '../../streams/postgres.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { newClaim, signToken } from '../../streams/security/token.ts';
import { createTokenList, listToken } from '../../streams/security/token-list.ts';
import { TOPICS } from '../../streams/topics.ts';
import { openTestEngine } from '../engine.ts';
import { openTestServices } from '../services.ts';
import { SECRET } from './fixture.ts';

const services = await openTestServices('apicurio');
const registry = registrySettings(services.settings)!;
const engine = await openTestEngine();
const namespace = engine.namespace();
const backend = { url: engine.url, registry };
const log = await openLog(backend, namespace);
after(() => log.close());
const codec = await openCodec(backend, namespace);

const access = await openPool(engine.url, 'test access', 1);
await createTokenList(access);
const claim = newClaim({ role: 'data-scientist', sites: [], pilots: [], spanMs: DAY_MS }, Date.now());
await listToken(access, claim);
after(async () => {
  await access.query('DELETE FROM iflex_access.token WHERE token_id = $1', [claim.tokenId]);
  await access.end();
});
const password = signToken(claim, SECRET);

async function serve(settings = registry) {
  const { app, close } = await openApi({ backend: { ...backend, registry: settings }, namespace, secret: SECRET, logger: false });
  after(close);
  const get = (url: string) => app.inject({ url, headers: { authorization: `Bearer ${password}` } });
  return { app, get };
}

it('serves the subjects, ids and schemas of that registry', async () => {
  const { app, get } = await serve();
  const subjects = TOPICS.filter(({ draft }) => !draft).map(({ name }) => `${name}-value`);
  const answers = await Promise.all(Array.from({ length: 20 }, () => get('/subjects')));
  for (const answer of answers) assert.deepEqual(answer.json(), subjects.sort());
  const tick = codec.encode('Tick', { knownAtMs: 5 });
  const id = schemaIdOf(tick);
  assert.equal(fingerprint((await get(`/schemas/ids/${id}`)).json().schema), codec.fingerprintOf(id));
  const host = await app.listen({ port: 0, host: '127.0.0.1' });
  const client = new SchemaRegistry({ host, auth: { username: 'iflex', password }, retry: { retries: 0 } });
  assert.deepEqual({ ...(await client.decode(tick)) }, { knownAtMs: 5 });
  assert.equal((await get('/schemas/ids/2000000000')).json().error_code, 40403);
});

it('says so where that registry is away', async () => {
  const { get } = await serve({ url: 'http://127.0.0.1:1' });
  const answer = await get('/subjects');
  assert.equal(answer.statusCode, 503);
  // Hosts and ports are for the server's log.
  assert.equal(answer.json().message, `REGISTRY_UNREACHABLE: ${ERROR_CODES.REGISTRY_UNREACHABLE}`);
});
