/** Brokers of a test's own, which form one cluster and are configured as the test needs; they end with the tests of the file. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { poll, processStart } from '../../infra/embedded-postgres-lock.ts';
import { type BrokerOptions, newClusterId, prepareBroker } from '../../infra/services/kafka.ts';
import { install } from '../../infra/services/lifecycle.ts';
import { clientPort, openPlace, portsOf, type ServicesPlace } from '../../infra/services/place.ts';
import { type Launch, logPathOf, logTail, startedProcess, startProcess, stopProcess } from '../../infra/services/process.ts';
import { STOP_WITHIN_MS, VERSIONS } from '../../infra/services/versions.ts';
import { freePortShift } from '../services-of-a-run.ts';

/** As many ports as are looked at for one broker. */
const PORT_SPAN = 2_500;
const FIRST_PORT_SHIFT = 5_000;

/** As a cluster of three is run: every record has three copies, and is written once two have it. */
export const REPLICATED = {
  'default.replication.factor': 3,
  'min.insync.replicas': 2,
  'offsets.topic.replication.factor': 3,
  'transaction.state.log.replication.factor': 3,
  'transaction.state.log.min.isr': 2,
};

export class OwnBroker {
  readonly place: ServicesPlace;
  private readonly launch: Launch;

  constructor(place: ServicesPlace, launch: Launch) {
    this.place = place;
    this.launch = launch;
  }

  get address(): string {
    return `127.0.0.1:${clientPort(this.place, 'kafka')}`;
  }

  /** Begins to run; `untilReady` tells when clients can come. */
  async start(): Promise<void> {
    // What its log told of earlier starts is of no use to `untilReady`.
    rmSync(logPathOf(this.place, 'kafka'), { force: true });
    await startProcess(this.place, 'kafka', this.launch);
  }

  /** As its log tells, since it may not let everyone in. */
  async untilReady(): Promise<void> {
    const isStarted = () => readFileSync(logPathOf(this.place, 'kafka'), 'utf8').includes('Kafka Server started');
    assert.ok(await poll(isStarted, VERSIONS.kafka.readyWithinMs), `A broker did not start:\n${logTail(this.place, 'kafka')}`);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const pid = startedProcess(this.place, 'kafka')!;
    const began = processStart(pid);
    process.kill(pid, signal);
    assert.ok(await poll(() => processStart(pid) !== began, STOP_WITHIN_MS), 'A broker has ended.');
  }
}

/** Starts so many brokers; `optionsOf` gives what each has beside the common configuration and what makes them a cluster. */
export async function startOwnBrokers(
  count: number,
  optionsOf: (place: ServicesPlace) => BrokerOptions = () => ({}),
): Promise<OwnBroker[]> {
  const places: ServicesPlace[] = [];
  for (let node = 1; node <= count; node++) places.push(await newPlace(node));
  const clusterId = newClusterId();
  const voters = places.map((place, i) => `${i + 1}@127.0.0.1:${portsOf(place, 'kafka')[1]}`).join(',');
  const brokers: OwnBroker[] = [];
  for (const [i, place] of places.entries()) {
    const folder = await install(place, 'kafka');
    const { properties, ...others } = optionsOf(place);
    const ofCluster = { 'node.id': i + 1, 'controller.quorum.voters': voters };
    const launch = await prepareBroker(place, folder, { clusterId, properties: { ...ofCluster, ...properties }, ...others });
    brokers.push(new OwnBroker(place, launch));
  }
  await Promise.all(brokers.map((broker) => broker.start()));
  await Promise.all(brokers.map((broker) => broker.untilReady()));
  return brokers;
}

async function newPlace(node: number): Promise<ServicesPlace> {
  const parent = mkdtempSync(join(tmpdir(), 'iflex-broker-'));
  // The servers run as another user where we are root.
  chmodSync(parent, 0o755);
  const from = FIRST_PORT_SHIFT + (node - 1) * PORT_SPAN;
  const shift = String(await freePortShift(from, from + PORT_SPAN));
  const place = openPlace(() => {}, { ...process.env, IFLEX_SERVICES_STATE: join(parent, 'state'), IFLEX_SERVICES_PORT_SHIFT: shift });
  after(async () => {
    await stopProcess(place, 'kafka', 'SIGKILL');
    rmSync(parent, { recursive: true, force: true });
  });
  return place;
}
