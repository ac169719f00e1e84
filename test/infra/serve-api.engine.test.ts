/** The API on a real port, its secret, and the commands around it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { checkHost, isLoopback } from '../../infra/cli/serve.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { startPipeline } from '../../infra/pipeline.ts';
import { serveApi } from '../../infra/serve-api.ts';
import { tokenSecret } from '../../infra/token-secret.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const namespace = engine.namespace();
const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
await pipeline.drained();
await pipeline.stop();
const folder = mkdtempSync(join(tmpdir(), 'iflex-serve-'));
process.env.IFLEX_STATE = folder;
after(() => rmSync(folder, { recursive: true }));

const environment = { ...process.env, DATABASE_URL: engine.url, IFLEX_STATE: folder };

/** Runs a command to its end. */
function iflex(...args: string[]): Promise<{ status: number | null; output: string; errors: string }> {
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, 'infra/cli/main.ts'), ...args], { env: environment });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, output, errors })));
}

describe('the API on a port', () => {
  it('answers, refuses a port that is taken, and stops while clients stay connected', async () => {
    const options = { backend: { url: engine.url }, namespace, host: '127.0.0.1', logger: false as const };
    const server = await serveApi({ ...options, port: 0 });
    const port = Number(new URL(server.address).port);
    assert.equal((await fetch(`${server.address}/health`)).status, 200);
    assert.equal((await fetch(`${server.address}/v1/sites`)).status, 401);
    await assert.rejects(serveApi({ ...options, port }), { code: 'CONFIG_INVALID' });
    await server.stop();
    await assert.rejects(fetch(`${server.address}/health`));
  });

  it('is for this machine alone, unless that is chosen', () => {
    for (const host of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) assert.equal(isLoopback(host), true, host);
    for (const host of ['0.0.0.0', '::', '192.168.1.5', 'example.org', '127.0.0.1.example.org', '', '1270.0.1'])
      assert.equal(isLoopback(host), false, host);
    checkHost('127.0.0.1', false);
    assert.throws(() => checkHost('0.0.0.0', false), { code: 'CONFIG_INVALID' });
  });
});

describe('the secret of the tokens', () => {
  it('is made once, for its owner alone, and refused once others can read it', () => {
    const state = join(folder, 'fresh');
    const secret = tokenSecret(state);
    assert.equal(secret.length, 32);
    assert.deepEqual(tokenSecret(state), secret);
    const path = join(state, 'token-secret');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.notDeepEqual(tokenSecret(join(folder, 'another')), secret);
    chmodSync(path, 0o644);
    assert.throws(() => tokenSecret(state), { code: 'CONFIG_INVALID' });
  });

  it('may be a file of the operator, if it is long enough', () => {
    const path = join(folder, 'given');
    process.env.IFLEX_TOKEN_SECRET_FILE = path;
    assert.throws(() => tokenSecret(), { code: 'CONFIG_INVALID' }, 'no such file');
    writeFileSync(path, 'short');
    assert.throws(() => tokenSecret(), { code: 'CONFIG_INVALID' });
    writeFileSync(path, 'x'.repeat(40));
    assert.equal(String(tokenSecret()), 'x'.repeat(40));
    delete process.env.IFLEX_TOKEN_SECRET_FILE;
  });
});

describe('the commands', () => {
  it('make a token, serve to its bearer, and end it', async () => {
    const made = await iflex('token', 'new', '--role', 'data-scientist', '--pilot', 'pilot-a', '--expires', '1h');
    assert.equal(made.status, 0, made.errors);
    const token = made.output.trim();
    const id = /Token (\S+) of role data-scientist counts until/.exec(made.errors)?.[1] ?? assert.fail(made.errors);
    const listed = JSON.parse((await iflex('token', 'list', '--json')).output) as { tokenId: string; role: string; pilots: string[] }[];
    const { role, pilots } = listed.find(({ tokenId }) => tokenId === id) ?? assert.fail('not listed');
    assert.deepEqual([role, pilots], ['data-scientist', ['pilot-a']]);

    const server = spawn(process.execPath, [join(PROJECT_FOLDER, 'infra/cli/main.ts'), 'serve', '--port', '0', '--namespace', namespace], {
      env: environment,
    });
    const ended = new Promise((resolve) => server.on('close', resolve));
    const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
    const address = /at (http:\S+) /.exec(line)?.[1] ?? assert.fail(line);
    const sites = () => fetch(`${address}/v1/sites`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await sites()).status, 200);
    assert.equal((await iflex('token', 'revoke', id)).status, 0);
    assert.equal((await sites()).status, 401);
    server.kill('SIGTERM');
    assert.equal(await ended, 0);
  });

  it('warn of a token for what nobody has declared', async () => {
    const make = (...args: string[]) => iflex('token', 'new', '--role', 'resident', ...args);
    const { status, output, errors } = await make('--site', 'x', '--site', 'y', '--pilot', 'nope', '--namespace', namespace);
    assert.equal(status, 0);
    assert.match(output, /^iflex_\S+\n$/);
    assert.deepEqual(errors.match(/has no (site|pilot) "\w+"/g), ['has no site "x"', 'has no site "y"', 'has no pilot "nope"']);
    assert.match(
      (await make('--site', 'x', '--namespace', 'none_such')).errors,
      /Warning: the namespace "none_such" has no projections yet/,
    );
  });

  it('say what is wrong, and end with 1', async () => {
    for (const args of [
      ['token', 'new', '--role', 'resident'],
      ['serve', '--host', '0.0.0.0'],
    ]) {
      const { status, errors } = await iflex(...args);
      assert.deepEqual([status, errors.split(':')[0]], [1, 'CONFIG_INVALID'], args.join(' '));
    }
  });
});
