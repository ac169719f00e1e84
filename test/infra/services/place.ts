/** Services of a test's own: an empty state folder, ports that nobody uses, what was downloaded shared with all. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { down } from '../../../infra/services/lifecycle.ts';
import { openPlace, portsOf, type ServicesPlace } from '../../../infra/services/place.ts';
import { isPortTaken } from '../../../infra/services/probe.ts';
import { SERVICE_NAMES } from '../../../infra/services/versions.ts';

/** A place, and the environment that names it to a command; after the tests of the file its services end and its folder goes. */
export async function emptyPlace(): Promise<{ place: ServicesPlace; env: NodeJS.ProcessEnv; told: string[] }> {
  const parent = mkdtempSync(join(tmpdir(), 'iflex-services-'));
  // The servers run as another user where we are root.
  chmodSync(parent, 0o755);
  const told: string[] = [];
  const base = { ...process.env, IFLEX_SERVICES_STATE: join(parent, 'state') };
  for (let shift = 20_000; ; shift += 10) {
    const env = { ...base, IFLEX_SERVICES_PORT_SHIFT: String(shift) };
    const ports = SERVICE_NAMES.flatMap((name) => portsOf({ portShift: shift }, name));
    if ((await Promise.all(ports.map(isPortTaken))).includes(true)) continue;
    const place = openPlace((line) => told.push(line), env);
    after(async () => {
      for (const name of SERVICE_NAMES) await down(place, name);
      rmSync(parent, { recursive: true, force: true });
    });
    return { place, env, told };
  }
}
