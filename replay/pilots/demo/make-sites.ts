/** Writes sites/*.yaml of the simulated sites as the simulator declares them: node replay/pilots/demo/make-sites.ts */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { PointDeclared, SiteDeclared } from '../../../schemas/types.ts';
import { CARRIERS, POINT_KINDS, SITE_KINDS } from '../../instance/pilot-file.ts';
import { simulatedSites } from '../bundled.ts';

const keyOf = (names: object, value: string) => Object.entries(names).find(([, one]) => one === value)![0];
const minutes = (ms: number) => `${ms / 60_000} min`;

function pointEntry(point: PointDeclared): object {
  const { pointId, name, kind, carrier, intervalMs, deliveryDelayMs, registerModulusMilliWh, mayExport, forecast } = point;
  return {
    pointId,
    name,
    kind: keyOf(POINT_KINDS, kind),
    carrier: keyOf(CARRIERS, carrier),
    interval: minutes(intervalMs),
    deliveryDelay: minutes(deliveryDelayMs),
    ...(registerModulusMilliWh === null ? {} : { registerRange: `${registerModulusMilliWh / 1e6} kWh` }),
    ...(mayExport ? { mayExport } : {}),
    ...(forecast ? { forecast } : {}),
  };
}

function siteEntry({ siteId, pilotId, knownAtMs, timeZone, kind, points }: SiteDeclared): object {
  const since = new Date(knownAtMs).toISOString().replace('.000Z', 'Z');
  return { siteId, pilotId, since, timeZone, kind: keyOf(SITE_KINDS, kind), origin: 'simulated', points: points.map(pointEntry) };
}

let homes = 0;
for (const { declaration } of simulatedSites()) {
  const name = declaration.kind === 'HOME' ? `simulated-home-${++homes}` : 'simulated-apartment-building';
  const file = join(import.meta.dirname, 'sites', `${name}.yaml`);
  writeFileSync(
    file,
    `# Simulated (written by make-sites.ts): no such site exists.\n${stringify(siteEntry(declaration), { defaultStringType: 'PLAIN' })}`,
  );
  console.log(file);
}
