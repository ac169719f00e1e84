import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { registrySettings } from '../../streams/registry-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'iflex-registry-settings-'));
after(() => rmSync(folder, { recursive: true }));
const ca = join(folder, 'ca.pem');
writeFileSync(ca, 'the authority');

const refused = (env: NodeJS.ProcessEnv, message: RegExp) =>
  assert.throws(
    () => registrySettings(env),
    (error: Error & { code: string }) => {
      assert.doesNotMatch(error.message, /hidden/);
      return error.code === 'CONFIG_INVALID' && message.test(error.message);
    },
  );

test('no registry of others is used where none is named', () => {
  assert.equal(registrySettings({}), undefined);
  assert.equal(registrySettings({ SCHEMA_REGISTRY_URL: '' }), undefined);
});

test('user and password come from the address or beside it, and are never part of what is shown', () => {
  const auth = { username: 'an:na', password: 'p@ss' };
  const url = 'http://registry:8081/apis/ccompat/v7';
  assert.deepEqual(registrySettings({ SCHEMA_REGISTRY_URL: `${url}/` }), { url });
  assert.deepEqual(registrySettings({ SCHEMA_REGISTRY_URL: 'http://an%3Ana:p%40ss@registry:8081/apis/ccompat/v7' }), { url, auth });
  const beside = { SCHEMA_REGISTRY_USERNAME: auth.username, SCHEMA_REGISTRY_PASSWORD: auth.password };
  assert.deepEqual(registrySettings({ SCHEMA_REGISTRY_URL: url, ...beside }), { url, auth });
});

test('a connection is encrypted where the address says so, with the files that are named', () => {
  const SCHEMA_REGISTRY_URL = 'https://registry';
  assert.deepEqual(registrySettings({ SCHEMA_REGISTRY_URL }), { url: 'https://registry', tls: {} });
  assert.deepEqual(registrySettings({ SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_TLS_CA_FILE: ca }), {
    url: 'https://registry',
    tls: { ca: Buffer.from('the authority') },
  });
});

test('what makes no sense is refused, without its password', () => {
  refused({ SCHEMA_REGISTRY_URL: 'registry:8081' }, /SCHEMA_REGISTRY_URL must look like/);
  refused({ SCHEMA_REGISTRY_URL: 'http://anna:hidden@registry?x=1' }, /must look like/);
  refused({ SCHEMA_REGISTRY_URL: 'http://anna:hidden%@registry' }, /percent-encoded/);
  refused({ SCHEMA_REGISTRY_URL: 'http://registry', SCHEMA_REGISTRY_PASSWORD: 'hidden' }, /go together/);
  refused({ SCHEMA_REGISTRY_URL: 'http://registry', SCHEMA_REGISTRY_TLS_CA_FILE: ca }, /does not begin with https/);
  refused({ SCHEMA_REGISTRY_URL: 'https://registry', SCHEMA_REGISTRY_TLS_CERT_FILE: ca }, /go together/);
  refused({ SCHEMA_REGISTRY_URL: 'https://registry', SCHEMA_REGISTRY_TLS_CA_FILE: join(folder, 'none') }, /cannot be read/);
});
