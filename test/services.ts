/** The real services for tests: one set for all test files, started by the first that asks and adopted by the others. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { defaultStateFolder } from '../infra/embedded-postgres.ts';
import { commandOf, poll, processStart } from '../infra/embedded-postgres-lock.ts';
import { PROJECT_FOLDER } from '../infra/engine.ts';
import { statusOf, up } from '../infra/services/lifecycle.ts';
import { SERVICES } from '../infra/services/list.ts';
import { clientPort, installedAt, openPlace, type ServicesPlace, serviceNames } from '../infra/services/place.ts';
import { getJson } from '../infra/services/probe.ts';
import { logPathOf } from '../infra/services/process.ts';
import { POSTGRESQL_MAJOR, type ServiceName, STOP_WITHIN_MS, VERSIONS } from '../infra/services/versions.ts';
import { dropKafkaNamespace } from '../streams/kafka-namespaces.ts';
import { kafkaSettings } from '../streams/kafka-settings.ts';
import { openPool } from '../streams/postgres.ts';
import { dropNamespace } from '../streams/postgres-log.ts';

export interface TestServices {
  /** For `up`, `down`, `statusOf`; who stops a service starts it again before the file ends, as others come after. */
  place: ServicesPlace;
  /** What clients need: KAFKA_BROKERS, SCHEMA_REGISTRY_URL, DATABASE_URL, MQTT_URL of the services asked for, and no other. */
  settings: Record<string, string>;
  /** What each one that runs says it is; those of the table, else opening fails. */
  versions: Partial<Record<ServiceName, string>>;
  /** A name that no other test uses; what it left in the database and in Kafka is dropped when the file ends. */
  namespace(): string;
}

/** Apart from the services of people, on ports of their own, where the environment names no other place. */
export function testServicesEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return {
    ...env,
    IFLEX_SERVICES_STATE: env.IFLEX_SERVICES_STATE ?? `${defaultStateFolder(PROJECT_FOLDER)}-test/services`,
    IFLEX_SERVICES_PORT_SHIFT: env.IFLEX_SERVICES_PORT_SHIFT ?? '1000',
  };
}

/**
 * Brings the named services up, or adopts those that run; `npm run test:services` stops them at its end. Fails where one
 * cannot be installed or started, was not started in this place, or is not of the version of the table: never by another.
 */
export async function openTestServices(...names: [ServiceName, ...ServiceName[]]): Promise<TestServices> {
  const told: string[] = [];
  const place = openPlace((line) => told.push(line), testServicesEnvironment());
  const settings: Record<string, string> = {};
  const versions: TestServices['versions'] = {};
  for (const name of serviceNames(names)) {
    await up(place, name);
    const { state, pid } = await statusOf(place, name);
    assert.equal(state, 'running', `${name} was started here:\n${told.join('\n')}`);
    assert.ok(commandOf(pid!)?.includes(installedAt(place, name)), `${name} runs from what was installed`);
    versions[name] = await VERSION_SAID[name](place);
    assert.equal(versions[name], VERSIONS[name].version, `${VERSIONS[name].product} is of the version of the table`);
    Object.assign(settings, SERVICES[name].clientSettings(place));
  }
  const made: string[] = [];
  after(async () => {
    if (settings.DATABASE_URL) for (const name of made) await dropNamespace(settings.DATABASE_URL, name);
    const kafka = kafkaSettings(settings);
    if (kafka) for (const name of made) await dropKafkaNamespace(kafka, name);
  });
  return {
    place,
    settings,
    versions,
    namespace() {
      const name = `t${randomBytes(6).toString('hex')}`;
      made.push(name);
      return name;
    },
  };
}

/** Kills a running service (SIGKILL) and starts it again on its data. */
export async function killAndRestart(place: ServicesPlace, name: ServiceName): Promise<void> {
  const { pid, state } = await statusOf(place, name);
  assert.equal(state, 'running', name);
  const began = processStart(pid!);
  process.kill(pid!, 'SIGKILL');
  assert.ok(await poll(() => processStart(pid!) !== began, STOP_WITHIN_MS), `${name} has ended`);
  await up(place, name);
  assert.notEqual((await statusOf(place, name)).pid, pid, `${name} was started again`);
}

/** How each service tells its version: asked over its own protocol where that has an answer, else from its log. */
const VERSION_SAID: Record<ServiceName, (place: ServicesPlace) => Promise<string | undefined>> = {
  kafka: async (place) => lastInLog(place, 'kafka', /Kafka version: (\S+) /g),
  async apicurio(place) {
    const root = `http://127.0.0.1:${clientPort(place, 'apicurio')}`;
    const info = (await getJson(`${root}/apis/registry/v2/system/info`)) as { name?: string; version?: string } | undefined;
    return info?.name === 'apicurio-registry' ? info.version : undefined;
  },
  async timescaledb(place) {
    const pool = await openPool(SERVICES.timescaledb.clientSettings(place).DATABASE_URL, 'test', 1);
    try {
      const { rows } = await pool.query(
        "SELECT extversion, current_setting('server_version') AS server FROM pg_extension WHERE extname = 'timescaledb'",
      );
      assert.ok(rows[0]?.server.startsWith(`${POSTGRESQL_MAJOR}.`), `PostgreSQL is ${POSTGRESQL_MAJOR}`);
      return rows[0].extversion;
    } finally {
      await pool.end();
    }
  },
  mosquitto: async (place) => lastInLog(place, 'mosquitto', /mosquitto version (\S+) starting/g),
};

function lastInLog(place: ServicesPlace, name: ServiceName, version: RegExp): string | undefined {
  return [...readFileSync(logPathOf(place, name), 'utf8').matchAll(version)].at(-1)?.[1];
}
