/** Appends the declarations of a pilot to a log: what stands there already is left alone, what belongs to others is refused. */
import { isDeepStrictEqual } from 'node:util';
import type { Codec } from '../../schemas/codec.ts';
import type { PilotDeclared, SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { FEED_BATCH_BYTES, FEED_BATCH_RECORDS } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import { told } from './declared-file.ts';
import { type Instance, pointsOfTwoSites } from './read-instance.ts';

/** The latest declaration of a pilot or site, and the number of the next one from the same source. */
export interface Standing<Value> {
  value: Value;
  nextNumber: number;
}

/** What a log says about pilots and sites, by id. */
export interface Declarations {
  pilots: Map<string, Standing<PilotDeclared>>;
  sites: Map<string, Standing<SiteDeclared>>;
}

const sourceOf = (id: string) => `declaration ${id}`;

/** Reads all declarations of a log. Bytes that are not a declaration are passed over: the tasks set them aside. */
export async function readDeclarations(log: EventLog, codec: Codec): Promise<Declarations> {
  const pilots = await readLatest<PilotDeclared>(log, codec, 'configuration', 'PilotDeclared');
  return { pilots, sites: await readLatest<SiteDeclared>(log, codec, 'sites', 'SiteDeclared') };
}

async function readLatest<Value>(log: EventLog, codec: Codec, topic: string, schema: string): Promise<Map<string, Standing<Value>>> {
  const latest = new Map<string, Standing<Value>>();
  const ends = await log.endOffsets(topic);
  for (let partition = 0; partition < ends.length; partition++) {
    let offset = 0;
    while (offset < ends[partition]) {
      const page = await log.read({ topic, partition }, offset, { maxRecords: FEED_BATCH_RECORDS, maxBytes: FEED_BATCH_BYTES });
      for (const { key, value, headers } of page.records) {
        const decoded = decodedAs<Value>(codec, schema, value);
        if (!decoded) continue;
        const own = headers.source === sourceOf(key);
        const before = latest.get(key)?.nextNumber ?? 0;
        latest.set(key, { value: decoded, nextNumber: own ? Math.max(before, headers.number + 1) : before });
      }
      offset = page.nextOffset;
    }
  }
  return latest;
}

function decodedAs<Value>(codec: Codec, schema: string, bytes: Uint8Array): Value | undefined {
  try {
    return codec.decodeAs(schema, bytes) as Value;
  } catch {
    return undefined;
  }
}

/** Facts that declare an instance for the first time: for replays into a namespace of their own. */
export function declarationFacts({ pilot, sites }: Instance): Fact[] {
  return [pilotFact(pilot, 0), ...sites.map((site) => siteFact(site, 0))];
}

function pilotFact(value: PilotDeclared, number: number): Fact {
  return { topic: 'configuration', schema: 'PilotDeclared', key: value.pilotId, value, source: sourceOf(value.pilotId), number };
}

function siteFact(value: SiteDeclared, number: number): Fact {
  return { topic: 'sites', schema: 'SiteDeclared', key: value.siteId, value, source: sourceOf(value.siteId), number };
}

/**
 * The facts that are new to a log. A site that another pilot declared, or a point that another site declared, is
 * refused with CONFIG_INVALID: pilots of one log cannot take each other's data.
 */
export function newDeclarations({ pilot, sites }: Instance, known: Declarations): Fact[] {
  const problems = claimedByOthers(pilot, sites, known);
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
  const facts: Fact[] = [];
  const knownPilot = known.pilots.get(pilot.pilotId);
  if (!isDeepStrictEqual(knownPilot?.value, pilot)) facts.push(pilotFact(pilot, knownPilot?.nextNumber ?? 0));
  for (const site of sites) {
    const standing = known.sites.get(site.siteId);
    if (!isDeepStrictEqual(standing?.value, site)) facts.push(siteFact(site, standing?.nextNumber ?? 0));
  }
  return facts;
}

function claimedByOthers(pilot: PilotDeclared, sites: readonly SiteDeclared[], known: Declarations): string[] {
  const problems: string[] = [];
  const siteOfPoint = new Map<string, string>();
  for (const { value } of known.sites.values()) for (const { pointId } of value.points) siteOfPoint.set(pointId, value.siteId);
  for (const site of sites) {
    const owner = known.sites.get(site.siteId)?.value.pilotId;
    if (owner !== undefined && owner !== pilot.pilotId)
      problems.push(`The site ${site.siteId} belongs to the pilot ${owner}. Give yours another random siteId, or use another --namespace.`);
  }
  return [...problems, ...pointsOfTwoSites(sites, siteOfPoint)];
}

export interface Declared {
  appended: number;
  /** Declarations that stood in the log as they are. */
  unchanged: number;
}

/** Two declarers at once look again so many times, which is once more than it takes. */
const MAX_ROUNDS = 3;

/** Appends what is new. Declaring the same again changes nothing; of two that declare differently at once, one is refused. */
export async function declare(log: EventLog, codec: Codec, instance: Instance): Promise<Declared> {
  let appended = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const facts = newDeclarations(instance, await readDeclarations(log, codec));
    if (facts.length === 0) break;
    for (let from = 0; from < facts.length; from += FEED_BATCH_RECORDS) {
      const batch = facts.slice(from, from + FEED_BATCH_RECORDS);
      appended += (await log.append(batch.map((fact) => recordOf(codec, fact)))).appended;
    }
  }
  return { appended, unchanged: 1 + instance.sites.length - appended };
}

function recordOf(codec: Codec, { topic, schema, key, value, source, number }: Fact): NewRecord {
  const headers = { source, number, type: schema, knownAtMs: value.knownAtMs };
  return { topic, key, value: codec.encode(schema, value), headers };
}
