/** Facts of a few simulated sites with faults (gaps, late and doubled deliveries, resets, swaps), small enough for a test. */
import type { Fact } from '../../replay/facts.ts';
import { inOrderOfKnowledge, PARIS, simulateSites } from '../../replay/simulate/simulate.ts';

export const SIMULATED_FROM_MS = Date.UTC(2026, 2, 2);

export function simulatedFacts({ days, homes, buildings = 0 }: { days: number; homes: number; buildings?: number }): Fact[] {
  const facts: Fact[] = [];
  const sites = simulateSites({
    ...{ seed: 'replay', pilotId: 'simulated', startMs: SIMULATED_FROM_MS, days, homes, buildings, place: PARIS, faults: true },
  });
  for (const { declaration, deliveries } of sites) {
    const { siteId } = declaration;
    facts.push({ topic: 'sites', schema: 'SiteDeclared', key: siteId, value: declaration, source: `declared ${siteId}`, number: 0 });
    facts.push(...deliveries);
  }
  return inOrderOfKnowledge(facts);
}
