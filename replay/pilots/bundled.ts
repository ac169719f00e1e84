/** The pilot that comes with the project: a measured household beside simulated sites, over the same four weeks. */
import { join } from 'node:path';
import { DAY_MS } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import { declarationFacts } from '../instance/declare.ts';
import { type Instance, readInstance } from '../instance/read-instance.ts';
import { inOrderOfKnowledge, PARIS, type SimulatedSite, simulateSites } from '../simulate/simulate.ts';
import { householdDeliveries, SLICE_DAYS, SLICE_START_MS } from './household.ts';

export const BUNDLED_DAYS = SLICE_DAYS;
export const BUNDLED_FOLDER = join(import.meta.dirname, 'demo');

export interface BundledPilot {
  instance: Instance;
  /** Declarations and deliveries in the order in which they became known. */
  facts: Fact[];
  /** Truth of the simulated sites. */
  simulated: SimulatedSite[];
}

/** Always the whole span: what is cut off to make a shorter replay must not change what is left. */
export function simulatedSites(): SimulatedSite[] {
  const options = { seed: 'demo', pilotId: 'demo', startMs: SLICE_START_MS, days: SLICE_DAYS, homes: 3, buildings: 1, place: PARIS };
  return [...simulateSites({ ...options, faults: true })];
}

/** What became known in the first so many days. Throws CONFIG_INVALID where the files of the pilot are not as they should be. */
export async function bundledPilot(days: number): Promise<BundledPilot> {
  const instance = readInstance(BUNDLED_FOLDER);
  const household = instance.sites.find(({ origin }) => origin === 'MEASURED')!;
  const simulated = simulatedSites();
  const deliveries = await householdDeliveries(BUNDLED_FOLDER, household);
  for (const site of simulated) deliveries.push(...site.deliveries);
  const untilMs = SLICE_START_MS + days * DAY_MS;
  const known = days < SLICE_DAYS ? deliveries.filter(({ value }) => value.knownAtMs < untilMs) : deliveries;
  return { instance, facts: inOrderOfKnowledge([...declarationFacts(instance), ...known]), simulated };
}
