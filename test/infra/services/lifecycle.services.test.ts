/** The command as people use it, on the service that starts fastest: what it does twice, to strangers, and to what is broken. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { commandOf, processStart } from '../../../infra/embedded-postgres-lock.ts';
import { PROJECT_FOLDER } from '../../../infra/engine.ts';
import { statusOf } from '../../../infra/services/lifecycle.ts';
import { portsOf } from '../../../infra/services/place.ts';
import { emptyPlace } from './place.ts';

const { place, env } = await emptyPlace();
const MAIN = join(PROJECT_FOLDER, 'infra', 'services', 'main.ts');
const pidFile = join(place.state, 'mosquitto.pid');

function services(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = execFile(process.execPath, [MAIN, ...args], { env, encoding: 'utf8' }, (_error, stdout, stderr) =>
      done({ status: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

describe('npm run services', () => {
  it('starts a service once, however often and by however many it is asked', async () => {
    const asked = await Promise.all([services('up', 'mosquitto'), services('up', 'mosquitto'), services('up', 'mosquitto')]);
    assert.deepEqual(
      asked.map(({ status }) => status),
      [0, 0, 0],
    );
    assert.equal(asked.filter(({ stderr }) => stderr.includes('is ready after')).length, 1);
    assert.equal(asked.filter(({ stderr }) => stderr.includes('runs already')).length, 2);
    const { stdout } = await services('status', 'mosquitto', '--json');
    const [{ state, pid }] = JSON.parse(stdout);
    assert.equal(state, 'running');
    assert.ok(commandOf(pid)?.includes('mosquitto'));
    assert.equal((await services('check', 'mosquitto')).status, 0);
    assert.match((await services('env', 'mosquitto')).stdout, /^export MQTT_URL='mqtt:\/\/127\.0\.0\.1:\d+'$/m);
  });

  it('starts a service again that was killed', async () => {
    const before = (await statusOf(place, 'mosquitto')).pid!;
    process.kill(before, 'SIGKILL');
    while (processStart(before) !== undefined) await new Promise(setImmediate);
    assert.match((await services('status', 'mosquitto')).stdout, /stopped/);
    assert.equal((await services('up', 'mosquitto')).status, 0);
    const { pid, state } = await statusOf(place, 'mosquitto');
    assert.equal(state, 'running');
    assert.notEqual(pid, before);
  });

  it('adopts a server that it did not start, and leaves it alone', async () => {
    const { pid } = await statusOf(place, 'mosquitto');
    const noted = readFileSync(pidFile, 'utf8');
    writeFileSync(pidFile, JSON.stringify({ pid: process.pid, startedAt: 'long ago' }));
    assert.match((await services('up', 'mosquitto')).stderr, /runs already on port \d+, not started here/);
    assert.match((await services('down', 'mosquitto')).stderr, /is left alone/);
    assert.ok(commandOf(pid!)?.includes('mosquitto'), 'it still runs');
    writeFileSync(pidFile, noted);
    assert.equal((await services('down', 'mosquitto')).status, 0);
    assert.equal(commandOf(pid!), undefined);
    assert.ok(!existsSync(pidFile));
    const again = await services('down', 'mosquitto');
    assert.equal(again.status, 0);
    assert.match(again.stderr, /was not running/);
  });

  it('says that another program holds the port', async () => {
    const stranger = createServer((socket) => socket.on('error', () => {}).end('no MQTT here')).listen(
      portsOf(place, 'mosquitto')[0],
      '127.0.0.1',
    );
    await once(stranger, 'listening');
    try {
      const { status, stderr } = await services('up', 'mosquitto');
      assert.equal(status, 1);
      assert.match(stderr, /^SERVICE_NOT_STARTED: mosquitto needs port \d+, which another program holds\.$/m);
    } finally {
      stranger.close();
    }
  });

  it('runs one in the foreground until it is told to end', async () => {
    const child = spawn(process.execPath, [MAIN, 'run', 'mosquitto'], { env, stdio: ['ignore', 'inherit', 'pipe'] });
    after(() => child.kill('SIGKILL'));
    let said = '';
    const running = new Promise<void>((done) =>
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text).includes(' running\n') && done()),
    );
    await running;
    assert.equal((await services('check', 'mosquitto')).status, 0);
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
    assert.equal((await statusOf(place, 'mosquitto')).state, 'stopped');
  });
});
