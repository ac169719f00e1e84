/** Instances and mappings for tests of imports: one site for each meter of a preset. */
import { type Mapping, readMapping } from '../../replay/import/mapping-file.ts';
import type { Instance } from '../../replay/instance/read-instance.ts';
import { HOUR_MS } from '../../streams/limits.ts';

/** A preset with a site of its own for every meter; `values` says which of its columns to read (all by default). */
export function mappingFor(preset: string, meters: readonly string[], values?: readonly string[]): Mapping {
  const mapping = readMapping(preset);
  const used = mapping.values.filter(({ name }) => values?.includes(name) ?? true);
  const pointsOf = (site: string) => Object.fromEntries(used.map(({ name }) => [name, `${site}.${name}`]));
  return { ...mapping, meters: new Map(meters.map((meter) => [meter, { site: `site-${meter}`, points: pointsOf(`site-${meter}`) }])) };
}

/** Declares the sites of a mapping; deliveries may be as late as the mapping makes them. */
export function instanceFor(mapping: Mapping, knownAtMs: number): Instance {
  const pilotId = 'pilot-of-imports';
  return {
    pilot: { pilotId, knownAtMs, name: 'imports', country: 'FI', timeZone: 'UTC', language: 'en', bidZone: null },
    sites: [...mapping.meters.values()].map(({ site, points }) => ({
      siteId: site,
      knownAtMs,
      pilotId,
      timeZone: 'UTC',
      kind: 'HOME',
      origin: 'MEASURED',
      personalData: null,
      points: mapping.values
        .filter(({ name }) => points[name] !== undefined)
        .map((rule) => ({
          pointId: points[rule.name],
          name: rule.name,
          kind: rule.kind,
          carrier: rule.file.carrier === 'electricity' ? 'ELECTRICITY' : 'DISTRICT_HEAT',
          intervalMs: rule.intervalMs,
          maxHoldMs: rule.intervalMs,
          deliveryDelayMs: mapping.deliveryMs + HOUR_MS,
          registerModulusMilliWh: null,
          registerJitterMilliWh: 0,
          mayExport: false,
          forecast: false,
        })),
    })),
  };
}
