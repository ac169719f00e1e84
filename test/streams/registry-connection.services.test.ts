/** How a registry of others is reached: before Apicurio stands a server that wants a password, encrypts, and breaks answers off. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, it } from 'node:test';
import { promisify } from 'node:util';
import { findJava } from '../../infra/services/tool.ts';
import { openConfluentRegistry } from '../../streams/confluent-registry.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { openTestServices } from '../services.ts';
import { recordedInMemory } from './recorded-in-memory.ts';

const services = await openTestServices('apicurio');
const behind = new URL(services.settings.SCHEMA_REGISTRY_URL);
const WANTED = `Basic ${Buffer.from('iflex:p@ss').toString('base64')}`;
const folder = mkdtempSync(join(tmpdir(), 'iflex-registry-tls-'));
after(() => rmSync(folder, { recursive: true }));

type Handle = (incoming: IncomingMessage, answer: ServerResponse) => void;

const pass: Handle = (incoming, answer) => {
  const { method, url: path, headers } = incoming;
  const onward = request({ host: behind.hostname, port: behind.port, method, path, headers }, (response) => {
    answer.writeHead(response.statusCode!, response.headers);
    response.pipe(answer);
  });
  incoming.pipe(onward);
};

const withPassword: Handle = (incoming, answer) => {
  if (incoming.headers.authorization === WANTED) pass(incoming, answer);
  else answer.writeHead(401, { 'content-type': 'application/json' }).end('{"error_code":401,"message":"Unauthorized"}');
};

/** Does what the list says with the first requests, one each, and lets the others through. */
function first(...handles: Handle[]): Handle {
  return (incoming, answer) => (handles.shift() ?? pass)(incoming, answer);
}

/** Port of a server before the registry, until the file ends. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const addressOf = (scheme: string, port: number, user = '') => `${scheme}://${user}127.0.0.1:${port}${behind.pathname}`;

function open(env: Record<string, string>, withinMs?: number) {
  const recorded = recordedInMemory();
  return openConfluentRegistry({ settings: registrySettings(env)!, recorded, tell: () => {}, ...(withinMs !== undefined && { withinMs }) });
}

it('a user and password are given; without them, or with others, the refusal is told and not tried again', async () => {
  const port = await listen(createServer(withPassword));
  const codec = await open({ SCHEMA_REGISTRY_URL: addressOf('http', port, 'iflex:p%40ss@') });
  assert.ok(codec.encode('Tick', { knownAtMs: 1 }).length > 5);
  for (const user of ['', 'iflex:other@'])
    await assert.rejects(open({ SCHEMA_REGISTRY_URL: addressOf('http', port, user) }), (error: Error & { code: string }) => {
      assert.doesNotMatch(error.message, /other/);
      return error.code === 'CONFIG_INVALID' && /refuses what is asked \(401\)/.test(error.message);
    });
});

it('the connection is encrypted, and the certificate checked against the authority that is named', async () => {
  const java = await findJava();
  const keytool = java === 'java' ? 'keytool' : join(dirname(java), 'keytool');
  const [store, authority] = [join(folder, 'server.p12'), join(folder, 'authority.pem')];
  const run = promisify(execFile);
  const named = ['-alias', 'server', '-keystore', store, '-storetype', 'PKCS12', '-storepass', 'changeit'];
  await run(keytool, ['-genkeypair', ...named, '-keyalg', 'EC', '-dname', 'CN=registry', '-ext', 'san=ip:127.0.0.1']);
  await run(keytool, ['-exportcert', '-rfc', ...named, '-file', authority]);
  const port = await listen(createTlsServer({ pfx: readFileSync(store), passphrase: 'changeit' }, withPassword));
  const env = { SCHEMA_REGISTRY_URL: addressOf('https', port, 'iflex:p%40ss@') };
  const codec = await open({ ...env, SCHEMA_REGISTRY_TLS_CA_FILE: authority });
  assert.deepEqual(codec.registered(), (await open(services.settings)).registered());
  await assert.rejects(open(env, 0), { code: 'REGISTRY_UNREACHABLE', message: /self-signed certificate/ });
});

it('what fails for the time being is tried again: no answer, half of one, a server that is overloaded or fails', async () => {
  const status =
    (code: number): Handle =>
    (_, answer) =>
      answer.writeHead(code).end();
  const drop: Handle = (incoming) => incoming.socket.destroy();
  const half: Handle = (_, answer) => {
    answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    answer.write('{"id":', () => answer.socket!.destroy());
  };
  const port = await listen(createServer(first(drop, status(503), status(429), half, status(500))));
  const codec = await open({ SCHEMA_REGISTRY_URL: addressOf('http', port) });
  assert.deepEqual(codec.registered(), (await open(services.settings)).registered());
});

it('what another process stood in the way of is done again, and a refusal that is given again is told', async () => {
  const conflict: Handle = (_, answer) =>
    answer.writeHead(409, { 'content-type': 'application/json' }).end('{"error_code":409,"message":"already exists"}');
  const refusing = (method: string, path: RegExp, times: number): Handle => {
    let left = times;
    return (incoming, answer) =>
      incoming.method === method && path.test(incoming.url!) && left-- > 0 ? conflict(incoming, answer) : pass(incoming, answer);
  };
  const opened = async (handle: Handle) => open({ SCHEMA_REGISTRY_URL: addressOf('http', await listen(createServer(handle))) });
  const ask = (path: string, method: string) => fetch(`${behind.href}${path}`, { method });
  const codec = await open(services.settings);
  for (const [method, path] of [
    ['POST', /subjects\/ticks-value\/versions/],
    ['PUT', /config\/ticks-value/],
  ] as const) {
    // Nothing of it is there, so that it is registered, and its level set.
    assert.equal((await ask('/subjects/ticks-value', 'DELETE')).status, 200);
    const again = await opened(refusing(method, path, 1));
    assert.deepEqual(again.registered(), codec.registered());
  }
  assert.equal((await ask('/subjects/ticks-value', 'DELETE')).status, 200);
  await assert.rejects(opened(refusing('POST', /subjects\/ticks-value\/versions/, Number.POSITIVE_INFINITY)), {
    code: 'SCHEMA_INCOMPATIBLE',
    message: /already exists/,
  });
  await open(services.settings);
});
