/** The files for a container engine, as far as they can be checked without one: they say the same as the one table. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { PROJECT_FOLDER } from '../../../infra/engine.ts';
import { PREREQUISITES } from '../../../infra/services/tool.ts';
import { SERVICE_NAMES, VERSIONS } from '../../../infra/services/versions.ts';

const read = (file: string) => readFileSync(join(PROJECT_FOLDER, file), 'utf8');

interface ComposeService {
  image: string;
  build: string;
  init: boolean;
  command: string[];
  ports: string[];
  volumes: string[];
  stop_grace_period: string;
  healthcheck: { test: string[]; interval: string; timeout: string; retries: number; start_period: string };
}

const compose = parse(read('compose.yaml'), { merge: true }) as {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
};
const dockerfile = read('Dockerfile');
const manifest = JSON.parse(read('package.json')) as { version: string };
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { version: string }> };
const settings = new Map([...dockerfile.matchAll(/(IFLEX_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));

describe('compose.yaml', () => {
  it('has the services of the table, and a volume of its own for each', () => {
    assert.deepEqual(Object.keys(compose.services), [...SERVICE_NAMES]);
    assert.deepEqual(Object.keys(compose.volumes), [...SERVICE_NAMES]);
    for (const name of SERVICE_NAMES) {
      assert.deepEqual(compose.services[name].volumes, [`${name}:${settings.get('IFLEX_SERVICES_STATE')}`], name);
    }
  });

  it('runs and checks each by the command of the machine without an engine', () => {
    for (const name of SERVICE_NAMES) {
      const { command, healthcheck, init, stop_grace_period } = compose.services[name];
      assert.deepEqual(command, ['run', name]);
      assert.deepEqual(healthcheck.test, ['CMD', 'node', 'infra/services/main.ts', 'check', name]);
      for (const span of [healthcheck.interval, healthcheck.timeout, healthcheck.start_period, stop_grace_period])
        assert.match(span, /^\d+s$/);
      assert.ok(Number.isInteger(healthcheck.retries) && init);
    }
    assert.ok(existsSync(join(PROJECT_FOLDER, 'infra/services/main.ts')));
  });

  it("publishes the clients' ports of the table, on loopback", () => {
    for (const name of SERVICE_NAMES) {
      const [port] = VERSIONS[name].ports;
      assert.deepEqual(compose.services[name].ports, [`127.0.0.1:${port}:${port}`], name);
    }
  });

  it('names one image, of the version of this package, built here', () => {
    for (const name of SERVICE_NAMES) {
      assert.equal(compose.services[name].image, `iflex-services:${manifest.version}`);
      assert.equal(compose.services[name].build, '.');
    }
  });
});

describe('Dockerfile', () => {
  it('starts from one complete reference, of the Node that is installed by npm', () => {
    const bases = [...dockerfile.matchAll(/^FROM (.+)$/gm)].map(([, image]) => image);
    assert.deepEqual(bases, [`node:${lock.packages['node_modules/node'].version}-bookworm-slim`]);
  });

  it('installs what is needed, all services, and ends in the command', () => {
    assert.ok(dockerfile.includes(` ${PREREQUISITES.join(' ')}\n`));
    assert.match(dockerfile, /^RUN node infra\/services\/main\.ts install\b/m);
    assert.match(dockerfile, /^ENTRYPOINT \["node", "infra\/services\/main\.ts"\]$/m);
  });

  it('sets only what the command knows', () => {
    const known = read('infra/services/place.ts');
    assert.deepEqual([...settings.keys()], ['IFLEX_SERVICES_STATE', 'IFLEX_SERVICES_CACHE', 'IFLEX_SERVICES_HOST']);
    for (const name of settings.keys()) assert.ok(known.includes(`env.${name}`), name);
  });

  it('leaves out what a tree holds beside the code', () => {
    const ignored = read('.dockerignore').split('\n');
    for (const name of ['.git', 'node_modules', '.iflex']) assert.ok(ignored.includes(name), name);
  });
});
