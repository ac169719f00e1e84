/**
 * A seeded simulator of sites with known truth: homes with photovoltaics, heat pump and vehicle, and apartment buildings
 * with electricity and district heating, all under one weather. Given the same options it gives the same facts.
 */
import type { SiteDeclared } from '../../schemas/types.ts';
import { DAY_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import { deliveriesOf, deliveryFacts } from './deliveries.ts';
import { type FaultTruth, planFaults, spoilDeliveries, spoilMeter } from './faults.ts';
import type { PointTruth } from './meters.ts';
import { randomOf } from './random.ts';
import { type CleanSite, type Scene, simulateBuilding, simulateHome } from './sites.ts';
import { type Place, simulateWeather } from './weather.ts';

export interface SimulationOptions {
  seed: string;
  pilotId: string;
  /** A full quarter of an hour (UTC epoch ms). */
  startMs: number;
  /** Whole days. */
  days: number;
  homes: number;
  buildings: number;
  place: Place;
  /** Whether anything goes wrong. */
  faults: boolean;
}

export interface SimulatedSite {
  declaration: SiteDeclared;
  truth: PointTruth[];
  faults: FaultTruth[];
  /** Its deliveries in the order in which they became known. */
  deliveries: Fact<'ReadingsDelivery'>[];
}

/** Paris and its surroundings. */
export const PARIS: Place = {
  latitudeDegrees: 48.8,
  longitudeDegrees: 2.3,
  timeZone: 'Europe/Paris',
  yearMeanCelsius: 11.5,
  seasonCelsius: 8,
};

export function sceneOf({ seed, pilotId, startMs, days, place }: SimulationOptions): Scene {
  const minutes = (days * DAY_MS) / MINUTE_MS;
  return { seed, pilotId, startMs, minutes, place, weather: simulateWeather(place, startMs, minutes, randomOf(seed, 'weather')) };
}

/** All sites of a simulation, one after the other. */
export function* simulateSites(options: SimulationOptions): Generator<SimulatedSite> {
  const scene = sceneOf(options);
  for (let index = 0; index < options.homes; index++) yield onItsWay(simulateHome(scene, index), scene, options, index);
  for (let index = 0; index < options.buildings; index++)
    yield onItsWay(simulateBuilding(scene, index), scene, options, options.homes + index);
}

/** What reaches us of a site. */
function onItsWay(site: CleanSite, { seed, startMs }: Scene, { days, faults: withFaults }: SimulationOptions, turn: number): SimulatedSite {
  const { declaration, meters } = site;
  const { siteId } = declaration;
  const random = randomOf(seed, 'faults', siteId);
  const planned = withFaults ? planFaults(startMs, days, turn, random) : [];
  const faults: (FaultTruth | null)[] = planned.map((fault) => spoilMeter(meters, fault, random));
  const deliveries = deliveriesOf(site, startMs, startMs + days * DAY_MS);
  // What a fault appends is not hit by another: they are days apart.
  for (const fault of planned) faults.push(spoilDeliveries(siteId, deliveries, fault, random));
  return {
    declaration,
    truth: meters.map(({ truth }) => truth),
    faults: faults.filter((fault) => fault !== null),
    deliveries: deliveryFacts(siteId, deliveries),
  };
}

/** Facts of several sources in one order: by when they became known, then topic, then key. */
export function inOrderOfKnowledge(facts: Fact[]): Fact[] {
  return facts.sort((a, b) => a.value.knownAtMs - b.value.knownAtMs || compared(a.topic, b.topic) || compared(a.key, b.key));
}

const compared = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
