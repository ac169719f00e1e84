/** A member of the group whose connections die without a word, as behind a firewall that has forgotten them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { kafkaMembership } from '../../streams/kafka-membership.ts';
import { ALL_PARTITIONS, type Crew } from '../../streams/membership.ts';
import { startOwnBrokers } from './own-brokers.ts';

const SYNC_GROUP = 14;
/** Of a request: its length lies before it. */
const API_KEY_AT = 4;
const SESSION_MS = 6_000;

/** Stands before the broker, under the address that the broker tells its clients. */
async function openRelay() {
  let target = { port: 0, host: '127.0.0.1' };
  const sockets = new Set<Socket>();
  const silent = new WeakSet<Socket>();
  let swallowed: { apiKey: number; isSwallowed: () => void } | undefined;
  const server = createServer((client) => {
    const broker = connect(target);
    for (const each of [client, broker]) sockets.add(each.on('error', () => {}).on('close', () => sockets.delete(each)));
    client.on('data', (chunk) => {
      if (silent.has(client)) return;
      if (chunk.readInt16BE(API_KEY_AT) !== swallowed?.apiKey) return void broker.write(chunk);
      silent.add(client);
      swallowed.isSwallowed();
    });
    broker.on('data', (chunk) => silent.has(client) || client.write(chunk));
    client.on('close', () => broker.destroy());
    broker.on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    for (const each of sockets) each.destroy();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo(address: string) {
      const [host, port] = address.split(':');
      target = { host, port: Number(port) };
    },
    /** What is connected now stays so, but nothing is answered there any more. */
    silence() {
      for (const each of sockets) silent.add(each);
    },
    /** Resolves once there was such a request; that connection is silent from then on. */
    swallow: (apiKey: number) => new Promise<void>((isSwallowed) => (swallowed = { apiKey, isSwallowed })),
  };
}

const relay = await openRelay();
const [broker] = await startOwnBrokers(1, () => ({ properties: { 'advertised.listeners': `PLAINTEXT://${relay.address}` } }));
relay.leadTo(broker.address);

/** A member whose crew only notes which tasks it is to run. */
function follow() {
  const stopping = new AbortController();
  let held: readonly number[] = [];
  let onRun: (partitions: readonly number[]) => void = () => {};
  const crew: Crew = {
    held: () => [...held],
    async run(partitions) {
      held = partitions;
      onRun(partitions);
    },
  };
  const settings = { brokers: [relay.address], sessionMs: SESSION_MS };
  return {
    nextRun: () => new Promise<readonly number[]>((resolve) => (onRun = resolve)),
    ended: kafkaMembership(settings, `t${randomBytes(6).toString('hex')}`).follow(crew, stopping.signal),
    stop: () => stopping.abort(),
  };
}

test('a member finds out within its session that its connections are dead, and keeps its tasks', { timeout: 60_000 }, async () => {
  const member = follow();
  try {
    assert.deepEqual(await member.nextRun(), ALL_PARTITIONS);
    relay.silence();
    assert.deepEqual(await member.nextRun(), ALL_PARTITIONS, 'It joins again before it is taken for dead.');
  } finally {
    member.stop();
    await member.ended;
  }
});

test('a member can be stopped while it waits for its share', { timeout: 20_000 }, async () => {
  const waits = relay.swallow(SYNC_GROUP);
  const member = follow();
  await waits;
  member.stop();
  await member.ended;
});
