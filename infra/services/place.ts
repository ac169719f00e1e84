/** Where services live on a machine: folders, user, ports; and the templates of their configuration files. */
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { defaultStateFolder } from '../embedded-postgres.ts';
import { isRoot, type Log, prepareStateFolder, type ServerUser, serverUser } from '../embedded-postgres-files.ts';
import { PROJECT_FOLDER } from '../engine.ts';
import { SERVICE_NAMES, type ServiceName, VERSIONS } from './versions.ts';

export interface ServicesPlace {
  /** Data, configuration, logs and process ids; one folder below it for each service. */
  state: string;
  /** What was downloaded and unpacked; may be deleted while nothing runs. */
  cache: string;
  /** Added to every port of the table. */
  portShift: number;
  /** Address that servers listen on. */
  host: string;
  /** For those that run in Java, beside what the service itself sets. */
  jvmOptions: readonly string[];
  /** Set when we are root: whom the servers run as. */
  user: ServerUser | undefined;
  log: Log;
}

const CURE = 'Set IFLEX_SERVICES_STATE and IFLEX_SERVICES_CACHE to folders that can be used, or run as another user.';

/** The place that the environment names. Throws CONFIG_INVALID where a folder cannot be used, or the shift is no number. */
export function openPlace(log: Log, env: NodeJS.ProcessEnv = process.env): ServicesPlace {
  const state = env.IFLEX_SERVICES_STATE ?? join(defaultStateFolder(PROJECT_FOLDER), 'services');
  const shift = Number(env.IFLEX_SERVICES_PORT_SHIFT ?? 0);
  const highest = Math.max(...SERVICE_NAMES.flatMap((name) => VERSIONS[name].ports));
  if (!Number.isInteger(shift) || shift < 0 || highest + shift > 65_535) {
    throw new IflexError('CONFIG_INVALID', `IFLEX_SERVICES_PORT_SHIFT must be a whole number from 0 to ${65_535 - highest}.`);
  }
  return {
    state: prepareStateFolder(resolve(state), CURE),
    cache: prepareStateFolder(resolve(env.IFLEX_SERVICES_CACHE ?? defaultCache(env)), CURE),
    portShift: shift,
    host: env.IFLEX_SERVICES_HOST ?? '127.0.0.1',
    jvmOptions: (env.IFLEX_SERVICES_JVM_OPTIONS ?? '').split(' ').filter((option) => option !== ''),
    user: serverUser(),
    log,
  };
}

/** Root's servers run as another user, who may not enter root's home. */
function defaultCache(env: NodeJS.ProcessEnv): string {
  return isRoot() ? '/var/cache/iflex/services' : join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'iflex', 'services');
}

/** Throws CONFIG_INVALID for a name that is not in the table; none means all. */
export function serviceNames(given: string[]): ServiceName[] {
  const unknown = given.find((name) => !SERVICE_NAMES.includes(name as ServiceName));
  if (unknown !== undefined) {
    throw new IflexError('CONFIG_INVALID', `There is no service "${unknown}"; there are ${SERVICE_NAMES.join(', ')}.`);
  }
  return given.length === 0 ? [...SERVICE_NAMES] : SERVICE_NAMES.filter((name) => given.includes(name));
}

export function portsOf(place: Pick<ServicesPlace, 'portShift'>, name: ServiceName): number[] {
  return VERSIONS[name].ports.map((port) => port + place.portShift);
}

/** The one that clients connect to, which is a service's first. */
export function clientPort(place: Pick<ServicesPlace, 'portShift'>, name: ServiceName): number {
  return portsOf(place, name)[0];
}

/** Where a service is unpacked. */
export function installedAt({ cache }: ServicesPlace, name: ServiceName): string {
  return join(cache, `${name}-${VERSIONS[name].version}`);
}

/** The folder of a service below the state folder, or a folder below that; made where it is missing, and the server's own. */
export function serviceFolder({ state, user }: ServicesPlace, name: ServiceName, ...below: string[]): string {
  let folder = state;
  for (const part of [name, ...below]) {
    folder = join(folder, part);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (user) chownSync(folder, user.uid, user.gid);
  }
  return folder;
}

/** Writes a file that the server alone may read, under its name only once it is whole. */
export function writeForServer({ user }: ServicesPlace, path: string, text: string): void {
  const half = `${path}.new`;
  writeFileSync(half, text, { mode: 0o600 });
  chmodSync(half, 0o600);
  if (user) chownSync(half, user.uid, user.gid);
  renameSync(half, path);
}

/** A template of config/ with its `{{names}}` filled in. Throws where one has no value, or a value is not asked for. */
export function fillTemplate(file: string, values: Record<string, string | number>): string {
  const text = readFileSync(new URL(`config/${file}`, import.meta.url), 'utf8');
  const asked = new Set([...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name));
  const wrong = [...asked, ...Object.keys(values)].filter((name) => !(asked.has(name) && name in values));
  if (wrong.length > 0) throw new IflexError('CONFIG_INVALID', `config/${file} and its values differ in ${wrong.join(', ')}.`);
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name]));
}

/** Writes the configuration file of a service from its template; gives its path. Of properties the last one of a name counts. */
export function writeConfiguration(
  place: ServicesPlace,
  name: ServiceName,
  template: string,
  values: Record<string, string | number>,
  properties: Readonly<Record<string, string | number>> = {},
): string {
  const path = join(serviceFolder(place, name), template);
  const more = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  writeForServer(place, path, fillTemplate(template, values) + more.join(''));
  return path;
}
