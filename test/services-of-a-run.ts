/** The shared services of one run of the stages: fresh where the environment names no place, and ended after it. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down } from '../infra/services/lifecycle.ts';
import { openPlace, portsOf, type ServicesPlace } from '../infra/services/place.ts';
import { isPortTaken } from '../infra/services/probe.ts';
import { startedProcess } from '../infra/services/process.ts';
import { SERVICE_NAMES, type ServiceName } from '../infra/services/versions.ts';

const PORT_SHIFT_STEP = 10;

/**
 * Does the work, whose processes see the place in their environment; then ends the services that it started, there and in
 * places of its own among temporary files, however it ended. Services that ran before go on running.
 */
export async function withServicesOfARun<T>(work: () => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'iflex-services-run-'));
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  // The servers run as another user where we are root.
  for (const each of [folder, temporary]) chmodSync(each, 0o755);
  const { TMPDIR, IFLEX_SERVICES_STATE, IFLEX_SERVICES_PORT_SHIFT } = process.env;
  process.env.TMPDIR = temporary;
  process.env.IFLEX_SERVICES_STATE ??= join(folder, 'state');
  process.env.IFLEX_SERVICES_PORT_SHIFT ??= String(await freePortShift(1000, 4000));
  const place = openPlace(console.log);
  const ranBefore = running(place);
  try {
    return await work();
  } finally {
    const leftBehind = readdirSync(temporary).map((name) => ({ ...place, state: join(temporary, name, 'state') }));
    for (const each of [place, ...leftBehind])
      for (const name of running(each)) if (each !== place || !ranBefore.includes(name)) await down(each, name);
    rmSync(folder, { recursive: true, force: true });
    setEnvironment({ TMPDIR, IFLEX_SERVICES_STATE, IFLEX_SERVICES_PORT_SHIFT });
  }
}

/** Another run of the same process must not look for the folders of this one. */
function setEnvironment(values: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(values))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
}

/** Those that were started in the place, ready or not. */
function running(place: ServicesPlace): ServiceName[] {
  return SERVICE_NAMES.filter((name) => startedProcess(place, name) !== undefined);
}

/**
 * A shift in the span at which nobody holds a port of any service. Runs that start together look at different places first.
 * All of it must stay below 13,000, as Linux hands out ports from 32,768 on to clients.
 */
export async function freePortShift(from: number, to: number): Promise<number> {
  const steps = Math.floor((to - from) / PORT_SHIFT_STEP);
  for (let step = 0; step < steps; step++) {
    const shift = from + ((process.pid + step) % steps) * PORT_SHIFT_STEP;
    const ports = SERVICE_NAMES.flatMap((name) => portsOf({ portShift: shift }, name));
    if (!(await Promise.all(ports.map(isPortTaken))).includes(true)) return shift;
  }
  throw new Error(`All ports of the services are taken, from a shift of ${from} to ${to}.`);
}
