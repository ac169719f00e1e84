/** Services of a test's own: an empty state folder, ports that nobody uses, what was downloaded shared with all. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { down } from '../../../infra/services/lifecycle.ts';
import { openPlace, type ServicesPlace } from '../../../infra/services/place.ts';
import { SERVICE_NAMES } from '../../../infra/services/versions.ts';
import { freePortShift } from '../../services-of-a-run.ts';

/** A place, and the environment that names it to a command; after the tests of the file its services end and its folder goes. */
export async function emptyPlace(): Promise<{ place: ServicesPlace; env: NodeJS.ProcessEnv; told: string[] }> {
  const parent = mkdtempSync(join(tmpdir(), 'iflex-services-'));
  // The servers run as another user where we are root.
  chmodSync(parent, 0o755);
  const told: string[] = [];
  const shift = String(await freePortShift(5_000, 13_000));
  const env = { ...process.env, IFLEX_SERVICES_STATE: join(parent, 'state'), IFLEX_SERVICES_PORT_SHIFT: shift };
  const place = openPlace((line) => told.push(line), env);
  after(async () => {
    for (const name of SERVICE_NAMES) await down(place, name);
    rmSync(parent, { recursive: true, force: true });
  });
  return { place, env, told };
}
