/** A broker that encrypts, wants a password and asks for certificates: the log and the group of members work through all of it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { promisify } from 'node:util';
import { clientPort, type ServicesPlace } from '../../infra/services/place.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaMembership } from '../../streams/kafka-membership.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { ALL_PARTITIONS } from '../../streams/membership.ts';
import { ALL, CONTRACT_TOPICS, record } from './event-log-fixtures.ts';
import { startOwnBrokers } from './own-brokers.ts';

const USER = 'iflex';
const PASSWORD = 'p@ss word';
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'iflex-kafka-tls-'));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);

/** An authority, and what it has signed: certificates of the server and of a client, with their keys. */
async function makeCertificates(): Promise<void> {
  const openssl = (...args: string[]) => run('openssl', args);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...key, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-subj', '/CN=authority', '-days', '2');
  for (const name of ['server', 'client']) {
    await openssl('req', ...key, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`), '-subj', `/CN=${name}`);
    writeFileSync(file('extensions'), 'subjectAltName=IP:127.0.0.1\n');
    const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', file('extensions')];
    await openssl('x509', '-req', '-in', file(`${name}.csr`), ...signed, '-out', file(`${name}.pem`));
  }
  writeFileSync(file('server.store'), readFileSync(file('server.key'), 'utf8') + readFileSync(file('server.pem'), 'utf8'));
}

/** The clients' listener is secured, the controller's stays as it is. */
function secured(place: ServicesPlace) {
  const port = clientPort(place, 'kafka');
  const [plain, scram] = ['plain.PlainLoginModule', 'scram.ScramLoginModule'].map(
    (name) => `org.apache.kafka.common.security.${name} required`,
  );
  const listener = 'listener.name.sasl_ssl';
  const properties = {
    listeners: `SASL_SSL://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
    'advertised.listeners': `SASL_SSL://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'SASL_SSL',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    [`${listener}.plain.sasl.jaas.config`]: `${plain} username="${USER}" password="${PASSWORD}" user_${USER}="${PASSWORD}";`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: `${scram};`,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: `${scram};`,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': file('server.store'),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': file('ca.pem'),
    // Without the listener's name it counts for listeners without passwords alone.
    [`${listener}.ssl.client.auth`]: 'required',
  };
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((mechanism) => `${mechanism}=[name=${USER},password=${PASSWORD}]`);
  return { properties, formatting: users.flatMap((user) => ['--add-scram', user]) };
}

await makeCertificates();
const [broker] = await startOwnBrokers(1, secured);

const reached = {
  KAFKA_BROKERS: broker.address,
  KAFKA_TLS: 'true',
  KAFKA_TLS_CA_FILE: file('ca.pem'),
  KAFKA_TLS_CERT_FILE: file('client.pem'),
  KAFKA_TLS_KEY_FILE: file('client.key'),
  KAFKA_USERNAME: USER,
  KAFKA_PASSWORD: PASSWORD,
};
const open = (env: Record<string, string | undefined>, namespace: string) =>
  openKafkaLog({ settings: kafkaSettings(env)!, namespace, topics: CONTRACT_TOPICS });

for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])
  it(`${mechanism}, encrypted, with a client's certificate: appends, reads, steps and shares tasks`, async () => {
    const env = { ...reached, KAFKA_SASL_MECHANISM: mechanism };
    const log = await open(env, `secured_${mechanism.toLowerCase().replaceAll('-', '_')}`);
    try {
      const fact = record({ topic: 'facts.a', headers: { source: 'meter', number: 1 } });
      assert.deepEqual(await log.append([fact, fact]), { appended: 1, redelivered: 1 });
      const ends = await log.endOffsets('facts.a');
      const partition = ends.findIndex((end) => end > 0);
      const { records } = await log.read({ topic: 'facts.a', partition }, 0, ALL);
      assert.deepEqual(Buffer.from(records[0].value), Buffer.from(fact.value));
      const handle = await log.takeTask(partition);
      const positions = { 'facts.a': ends[partition] };
      await handle.commit({ label: 'secured', outputs: [], delta: Buffer.from('delta'), journal: [], positions });
      assert.deepEqual(await log.taskPositions(partition), positions);
      assert.deepEqual(await sharedAlone(env, log.namespace), [...ALL_PARTITIONS]);
    } finally {
      await log.close();
    }
  });

/** What the only member of a group gets. */
async function sharedAlone(env: Record<string, string>, namespace: string): Promise<readonly number[]> {
  const leaving = new AbortController();
  let share: readonly number[] = [];
  const crew = {
    held: () => [...share],
    async run(partitions: readonly number[]) {
      if (partitions.length > 0) share = partitions;
      leaving.abort();
    },
  };
  await kafkaMembership(kafkaSettings(env)!, namespace).follow(crew, leaving.signal);
  return share;
}

it('a wrong password, an unknown authority and a missing certificate are told as what they are, and show no password', async () => {
  const env = { ...reached, KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512' };
  const told = async (changed: Record<string, string | undefined>): Promise<string> => {
    const error = await open({ ...env, ...changed }, 'refused').then(
      () => assert.fail('It was let in.'),
      (reason: Error & { code: string }) => reason,
    );
    assert.doesNotMatch(error.message, /p@ss|no-such-secret/);
    return `${error.code} ${error.message}`;
  };
  assert.match(await told({ KAFKA_PASSWORD: 'no-such-secret' }), /^CONFIG_INVALID .*SASL authentication failed\. .*KAFKA_USERNAME/);
  assert.match(await told({ KAFKA_TLS_CA_FILE: undefined }), /^CONFIG_INVALID .*certificate.*KAFKA_TLS/);
  assert.match(await told({ KAFKA_TLS_CERT_FILE: undefined, KAFKA_TLS_KEY_FILE: undefined }), /^CONFIG_INVALID .*certificate.*KAFKA_TLS/);
});
