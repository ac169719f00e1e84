/** The table of services, their templates and checksums fit together; and what is wrong is told with its code. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../../../infra/engine.ts';
import { configuredMirror } from '../../../infra/services/debian.ts';
import { recordedChecksums } from '../../../infra/services/maven.ts';
import { fillTemplate, openPlace, portsOf, serviceNames } from '../../../infra/services/place.ts';
import { startedProcess } from '../../../infra/services/process.ts';
import { findJava, lackingPrerequisite, runTool } from '../../../infra/services/tool.ts';
import { APICURIO_VERSION, KAFKA_VERSION, LOG4J_VERSION, SERVICE_NAMES, VERSIONS } from '../../../infra/services/versions.ts';

const folder = mkdtempSync(join(tmpdir(), 'iflex-table-'));
// The servers run as another user where we are root.
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));
const env = { IFLEX_SERVICES_STATE: join(folder, 'state'), IFLEX_SERVICES_CACHE: join(folder, 'cache') };

describe('the table of services', () => {
  it('gives each port once', () => {
    const ports = SERVICE_NAMES.flatMap((name) => VERSIONS[name].ports);
    assert.equal(new Set(ports).size, ports.length);
  });

  it('has a checksum for what comes from Maven, of the versions in it', () => {
    const kafka = [...recordedChecksums('kafka').keys()];
    for (const jar of [`kafka_2.13-${KAFKA_VERSION}.jar`, `kafka-clients-${KAFKA_VERSION}.jar`, `log4j-slf4j-impl-${LOG4J_VERSION}.jar`]) {
      assert.ok(kafka.includes(jar), jar);
    }
    assert.deepEqual([...recordedChecksums('apicurio').keys()], [`apicurio-registry-app-${APICURIO_VERSION}-all.tar.gz`]);
    const lines = readFileSync(join(PROJECT_FOLDER, 'infra/services/checksums.txt'), 'utf8').trim().split('\n');
    assert.equal(lines.length, kafka.length + 1);
  });

  it('takes known names in the order of the table, and all for none', () => {
    assert.deepEqual(serviceNames([]), [...SERVICE_NAMES]);
    assert.deepEqual(serviceNames(['mosquitto', 'kafka']), ['kafka', 'mosquitto']);
    assert.throws(() => serviceNames(['kafka', 'redis']), { code: 'CONFIG_INVALID', message: /no service "redis"; there are kafka, / });
  });
});

describe('a template', () => {
  const files = readdirSync(join(PROJECT_FOLDER, 'infra/services/config'));

  it('is filled in whole', () => {
    assert.equal(files.length, 6);
    const filled = fillTemplate('mosquitto.conf', { host: '127.0.0.1', port: 1883, dataFolder: '/data' });
    assert.match(filled, /^listener 1883 127\.0\.0\.1$/m);
    assert.doesNotMatch(filled, /[{}]/);
  });

  it('is refused with a value too few or too many', () => {
    assert.throws(() => fillTemplate('mosquitto.conf', { host: 'a', port: 1 }), { code: 'CONFIG_INVALID', message: /dataFolder/ });
    assert.throws(() => fillTemplate('pg_hba.conf', { clients: 'all', other: 1 }), { code: 'CONFIG_INVALID', message: /other/ });
  });
});

describe('a place', () => {
  it('shifts all ports, within what ports may be', () => {
    const place = openPlace(() => {}, { ...env, IFLEX_SERVICES_PORT_SHIFT: '100' });
    assert.deepEqual(portsOf(place, 'kafka'), [19_192, 19_193]);
    assert.equal(place.host, '127.0.0.1');
    for (const wrong of ['-1', '1.5', 'x', '60000']) {
      assert.throws(() => openPlace(() => {}, { ...env, IFLEX_SERVICES_PORT_SHIFT: wrong }), { code: 'CONFIG_INVALID' });
    }
  });

  it('makes its folders, and refuses those that cannot be made', () => {
    openPlace(() => {}, env);
    assert.ok(statSync(env.IFLEX_SERVICES_CACHE).isDirectory());
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const wrong = { ...env, IFLEX_SERVICES_STATE: join(file, 'below') };
    assert.throws(() => openPlace(() => {}, wrong), { code: 'CONFIG_INVALID', message: /IFLEX_SERVICES_STATE/ });
  });

  it('knows no process by a number alone', () => {
    const place = openPlace(() => {}, env);
    for (const text of ['', 'null', '{}', `{"pid":${process.pid}}`, `{"pid":${process.pid},"startedAt":"long ago"}`, '{"pid":-1}']) {
      writeFileSync(join(place.state, 'kafka.pid'), text);
      assert.equal(startedProcess(place, 'kafka'), undefined, text);
    }
  });
});

describe('what a machine lacks', () => {
  it('is named, with what brings it', async () => {
    await assert.rejects(runTool('mvn-of-nobody', [], 'kafka cannot be fetched'), {
      code: 'SERVICE_NOT_INSTALLABLE',
      message: /^kafka cannot be fetched: mvn-of-nobody is missing\. As root: apt-get install/,
    });
    await assert.rejects(findJava({ JAVA_HOME: join(folder, 'no-java') }), {
      code: 'SERVICE_NOT_INSTALLABLE',
      message: /java is missing\. As root: apt-get install default-jre-headless/,
    });
  });

  it('is nothing where Java and Maven can be run, and else told', async () => {
    const bin = join(folder, 'both');
    mkdirSync(bin);
    writeFileSync(join(bin, 'java'), '#!/bin/sh\necho \'openjdk version "17.0.1"\' >&2\n', { mode: 0o755 });
    const env = { PATH: bin, JAVA_HOME: undefined };
    assert.match((await lackingPrerequisite(env))!, /^Maven is needed: mvn is missing/);
    writeFileSync(join(bin, 'mvn'), '#!/bin/sh\n', { mode: 0o755 });
    assert.equal(await lackingPrerequisite(env), undefined);
  });

  it('is told when it fails, with what it said', async () => {
    const failing = runTool(process.execPath, ['-e', 'console.error("no route to host"); process.exit(3)'], 'x');
    await assert.rejects(failing, { code: 'SERVICE_NOT_INSTALLABLE', message: /status 3.*Is the network there\?\nno route to host/s });
  });

  it('is too old a Java, which is refused', async () => {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'java'), '#!/bin/sh\necho \'openjdk version "11.0.2" 2019-01-15\' >&2\n', { mode: 0o755 });
    await assert.rejects(findJava({ JAVA_HOME: folder }), { code: 'SERVICE_NOT_INSTALLABLE', message: /is Java 11\. As root/ });
  });
});

describe('the mirror of Debian', () => {
  it('is found in both forms of sources, and no other is taken for it', () => {
    const deb822 =
      'Types: deb\nURIs: http://mirror.example/debian-security\n\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n';
    assert.equal(configuredMirror(deb822), 'http://mirror.example/debian');
    const oneLine =
      'deb https://tools.example/apt tools main\n# deb http://no.example/debian x\ndeb [arch=amd64] http://mirror.example/debian/ trixie main\n';
    assert.equal(configuredMirror(oneLine), 'http://mirror.example/debian/');
    assert.equal(configuredMirror('deb https://tools.example/apt tools main\n'), undefined);
  });
});
