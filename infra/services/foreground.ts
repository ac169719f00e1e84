/** One service as the work of this process, for containers: its output is ours, and signals to us end it in good order. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { runAs } from '../embedded-postgres-files.ts';
import { poll } from '../embedded-postgres-lock.ts';
import { install } from './lifecycle.ts';
import { SERVICES } from './list.ts';
import { type ServicesPlace, serviceFolder } from './place.ts';
import { type ServiceName, VERSIONS } from './versions.ts';

/** Runs until the server ends; gives the status to end with. */
export async function runInForeground(place: ServicesPlace, name: ServiceName): Promise<number> {
  const service = SERVICES[name];
  const { command, args, env } = await service.prepare(place, await install(place, name));
  const how = runAs({ user: place.user, state: serviceFolder(place, name) });
  const server = spawn(command, args, { ...how, env: { ...how.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server.kill(service.stopSignal));
  let ended = false;
  const end = new Promise<number>((done, failed) => {
    server.on('error', failed).on('exit', (code, signal) => done(code ?? 128 + constants.signals[signal!]));
  }).finally(() => (ended = true));
  const settled = poll(async () => ended || (await service.isReady(place)), VERSIONS[name].readyWithinMs).then(async (ready) => {
    if (ready && !ended) await service.settle?.(place);
  });
  return (await Promise.all([end, settled]))[0];
}
