/** Brings services up and down, and tells how they are. */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { poll, withLock } from '../embedded-postgres-lock.ts';
import { SERVICES } from './list.ts';
import { clientPort, installedAt, portsOf, type ServicesPlace } from './place.ts';
import { isPortTaken } from './probe.ts';
import { logPathOf, logTail, startedProcess, startProcess, stopProcess } from './process.ts';
import { INSTALL_WITHIN_MS, type ServiceName, VERSIONS } from './versions.ts';

export interface ServiceStatus {
  name: ServiceName;
  product: string;
  version: string;
  /** `foreign`: answers as it should, but was not started here; `taken`: another program holds a port of it. */
  state: 'running' | 'starting' | 'foreign' | 'taken' | 'stopped';
  pid: number | undefined;
  ports: number[];
  log: string;
}

const TELL_EVERY_MS = 15_000;
const PORTS_FREE_WITHIN_MS = 5_000;
const INSTALL_LOCK_WITHIN_MS = 4 * INSTALL_WITHIN_MS;
/** Longer than an install, a start and a stop together. */
const LOCK_WITHIN_MS = 2 * INSTALL_LOCK_WITHIN_MS;

/** Downloads and unpacks a service, where that was not done before; gives its folder. */
export async function install(place: ServicesPlace, name: ServiceName): Promise<string> {
  const folder = installedAt(place, name);
  const marker = join(folder, '.complete');
  if (existsSync(marker)) return folder;
  // One at a time: they share what Maven keeps.
  return withLock(join(place.cache, 'install.lock'), INSTALL_LOCK_WITHIN_MS, async () => {
    if (existsSync(marker)) return folder;
    const { product, version } = VERSIONS[name];
    place.log(`${name}: downloading and unpacking ${product} ${version} to ${folder} (once).`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    // Whatever the umask, the server's user must enter it.
    chmodSync(folder, 0o755);
    await whileTelling(place, `${name}: still downloading and unpacking.`, SERVICES[name].install(place, folder));
    writeFileSync(marker, `${product} ${version}\n`);
    return folder;
  });
}

/** Says every now and then that a longer work goes on. */
async function whileTelling(place: ServicesPlace, line: string, work: Promise<void>): Promise<void> {
  const telling = setInterval(() => place.log(line), TELL_EVERY_MS);
  try {
    await work;
  } finally {
    clearInterval(telling);
  }
}

/** Starts a service and waits until it is ready; one that runs already is left as it is. Throws SERVICE_NOT_STARTED. */
export function up(place: ServicesPlace, name: ServiceName): Promise<void> {
  return withLock(join(place.state, `${name}.lock`), LOCK_WITHIN_MS, async () => {
    const { product, version } = VERSIONS[name];
    const where = `port ${clientPort(place, name)}`;
    const before = await statusBeforeStart(place, name);
    if (before.state === 'running') {
      // Whoever started it may have been killed before this.
      await SERVICES[name].settle?.(place);
      return place.log(`${name}: ${product} ${version} runs already (process ${before.pid}, ${where}).`);
    }
    if (before.state === 'foreign') return place.log(`${name}: runs already on ${where}, not started here; \`down\` leaves it alone.`);
    if (before.state === 'taken') {
      const ports = before.ports.join(' or ');
      throw new IflexError('SERVICE_NOT_STARTED', `${name} needs port ${ports}, which another program holds.`);
    }
    const folder = await install(place, name);
    const startedMs = performance.now();
    if (before.state === 'stopped') await start(place, name, folder);
    await whileTelling(place, `${name}: still starting.`, awaitReady(place, name));
    await SERVICES[name].settle?.(place);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    place.log(`${name}: ${product} ${version} is ready after ${seconds} s (process ${startedProcess(place, name)}, ${where}).`);
  });
}

/** A server that was killed may hold its ports for a moment after its process is gone. */
async function statusBeforeStart(place: ServicesPlace, name: ServiceName): Promise<ServiceStatus> {
  let status = await statusOf(place, name);
  const look = async () => {
    status = await statusOf(place, name);
    return status.state !== 'taken';
  };
  if (status.state === 'taken') await poll(look, PORTS_FREE_WITHIN_MS);
  return status;
}

async function start(place: ServicesPlace, name: ServiceName, folder: string): Promise<void> {
  const launch = await SERVICES[name].prepare(place, folder);
  place.log(`${name}: starting; its log is ${logPathOf(place, name)}.`);
  await startProcess(place, name, launch);
}

async function awaitReady(place: ServicesPlace, name: ServiceName): Promise<void> {
  const { readyWithinMs } = VERSIONS[name];
  const answer = await poll(async () => {
    if (startedProcess(place, name) === undefined) return 'ended';
    return (await SERVICES[name].isReady(place)) && 'ready';
  }, readyWithinMs);
  if (answer === 'ready') return;
  const said = `See ${logPathOf(place, name)}, which ends:\n${logTail(place, name).trim()}`;
  if (answer === 'ended') throw new IflexError('SERVICE_NOT_STARTED', `${name} ended while it started. ${said}`);
  await stopProcess(place, name, SERVICES[name].stopSignal);
  throw new IflexError('SERVICE_NOT_STARTED', `${name} was not ready within ${readyWithinMs / 1000} s and was ended. ${said}`);
}

/** Ends a service, if it was started here. */
export function down(place: ServicesPlace, name: ServiceName): Promise<void> {
  return withLock(join(place.state, `${name}.lock`), LOCK_WITHIN_MS, async () => {
    const pid = await stopProcess(place, name, SERVICES[name].stopSignal);
    if (pid !== undefined) return place.log(`${name}: stopped (process ${pid}).`);
    const { state } = await statusOf(place, name);
    place.log(state === 'foreign' ? `${name}: runs, but was not started here, and is left alone.` : `${name}: was not running.`);
  });
}

/** How a service is, asked over its own protocol. */
export async function statusOf(place: ServicesPlace, name: ServiceName): Promise<ServiceStatus> {
  const { product, version } = VERSIONS[name];
  const ports = portsOf(place, name);
  const pid = startedProcess(place, name);
  const ready = await SERVICES[name].isReady(place);
  const taken = pid === undefined && !ready && (await Promise.all(ports.map(isPortTaken))).includes(true);
  const state = pid === undefined ? (ready ? 'foreign' : taken ? 'taken' : 'stopped') : ready ? 'running' : 'starting';
  return { name, product, version, state, pid, ports, log: logPathOf(place, name) };
}
