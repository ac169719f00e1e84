/** Programs that set a server's data up before its first start, run as the server's user. */
import { spawn } from 'node:child_process';
import { IflexError } from '../../streams/errors.ts';
import { runAs } from '../embedded-postgres-files.ts';
import { type ServicesPlace, serviceFolder } from './place.ts';
import type { Launch } from './process.ts';
import type { ServiceName } from './versions.ts';

const SETUP_WITHIN_MS = 120_000;

/** Runs one to its end. Throws SERVICE_NOT_STARTED with what it said where it fails. */
export async function runSetup(place: ServicesPlace, name: ServiceName, { command, args }: Launch): Promise<void> {
  const how = runAs({ user: place.user, state: serviceFolder(place, name) });
  const child = spawn(command, args, { ...how, stdio: ['ignore', 'pipe', 'pipe'], timeout: SETUP_WITHIN_MS });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(-2000)));
  const status = await new Promise((done) => child.on('error', done).on('close', done));
  if (status !== 0) throw new IflexError('SERVICE_NOT_STARTED', `${name} cannot be set up (${status}): ${output.trim()}`);
}
