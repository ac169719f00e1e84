/** A pilot's folder, read, checked and turned into the events that declare it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pointProblem } from '../../processors/resampler/declaration.ts';
import type { PilotDeclared, PointDeclared, SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import { MAX_POINT_INTERVAL_MS } from '../../streams/limits.ts';
import { utcOffsetMs } from '../../streams/time.ts';
import { readDeclaredFile, told } from './declared-file.ts';
import { CARRIERS, PilotFile, POINT_KINDS, type PointEntry, SITE_KINDS, SITE_ORIGINS, SiteFile } from './pilot-file.ts';
import { energyMilliWh, instantMs, spanMs } from './quantities.ts';

export const PILOT_FILE = 'pilot.yaml';
export const SITES_FOLDER = 'sites';
/** Sites of one pilot's folder. */
const MAX_SITES = 100_000;
/** No reading can be older; and what is declared from later on is a slip, of which no reading would ever be taken. */
const EARLIEST_SINCE_MS = 0;
const LATEST_SINCE_MS = Date.UTC(2100, 0, 1);

/** A pilot and its sites as events. */
export interface Instance {
  pilot: PilotDeclared;
  sites: SiteDeclared[];
}

/** Reads and checks a pilot's folder. Throws CONFIG_INVALID with every problem found: file, field, and what to do. */
export function readInstance(folder: string): Instance {
  const path = join(folder, PILOT_FILE);
  if (!existsSync(path))
    throw new IflexError('CONFIG_INVALID', `${folder} has no ${PILOT_FILE}. Make a pilot with \`iflex pilot new\`, or name its folder.`);
  const problems: string[] = [];
  const pilot = pilotDeclared(path, readDeclaredFile(path, PilotFile), problems);
  const sites: SiteDeclared[] = [];
  const files = new Map<string, string>();
  for (const file of siteFiles(folder)) {
    const entry = read(file, problems);
    if (!entry) continue;
    if (entry.pilotId !== pilot.pilotId) problems.push(`${file}: pilotId ${entry.pilotId} is not that of ${path} (${pilot.pilotId}).`);
    const other = files.get(entry.siteId);
    if (other) problems.push(`${file}: siteId ${entry.siteId} stands in ${other} too. Give one of them another random id.`);
    files.set(entry.siteId, file);
    sites.push(siteDeclared(file, entry, problems));
  }
  problems.push(...pointsOfTwoSites(sites));
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
  return { pilot, sites };
}

/** Why points cannot be declared as they are, each by one site only; `siteOfPoint` holds those that belong to a site before. */
export function pointsOfTwoSites(sites: readonly SiteDeclared[], siteOfPoint = new Map<string, string>()): string[] {
  const problems: string[] = [];
  for (const { siteId, points } of sites)
    for (const { pointId } of points) {
      const other = siteOfPoint.get(pointId) ?? siteId;
      if (other !== siteId)
        problems.push(`The point ${pointId} of site ${siteId} belongs to the site ${other}. Give yours another random pointId.`);
      siteOfPoint.set(pointId, siteId);
    }
  return problems;
}

/** A broken file is one problem among others, so that all are told at once. */
function read(file: string, problems: string[]): SiteFile | undefined {
  try {
    return readDeclaredFile(file, SiteFile);
  } catch (error) {
    if (!(error instanceof IflexError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

function siteFiles(folder: string): string[] {
  const sites = join(folder, SITES_FOLDER);
  if (!existsSync(sites)) return [];
  const names = readdirSync(sites).filter((name) => /\.ya?ml$/.test(name));
  if (names.length > MAX_SITES)
    throw new IflexError('CONFIG_INVALID', `${sites} has ${names.length} files; a pilot has at most ${MAX_SITES} sites. Divide it.`);
  return names.sort().map((name) => join(sites, name));
}

/** The event of a pilot's file; problems that a schema cannot see (unknown zone, no such day) are added to the list. */
export function pilotDeclared(path: string, file: PilotFile, problems: string[]): PilotDeclared {
  checkZone(path, file.timeZone, problems);
  return {
    pilotId: file.pilotId,
    knownAtMs: checkedInstant(path, file.since, problems),
    name: file.name,
    country: file.country,
    timeZone: file.timeZone,
    language: file.language,
    bidZone: file.bidZone ?? null,
  };
}

/** The event of a site file; problems (unknown zone, double ids, spans out of range) are added to the list. */
export function siteDeclared(path: string, file: SiteFile, problems: string[]): SiteDeclared {
  checkZone(path, file.timeZone, problems);
  for (const pointId of twice(file.points.map(({ pointId }) => pointId)))
    problems.push(`${path}: pointId ${pointId} stands twice. Give one of them another random id.`);
  for (const name of twice(file.points.map(({ name }) => name)))
    problems.push(`${path}: two points have the name ${name}. Give one of them another, as people tell points by it.`);
  return {
    siteId: file.siteId,
    knownAtMs: checkedInstant(path, file.since, problems),
    pilotId: file.pilotId,
    timeZone: file.timeZone,
    kind: SITE_KINDS[file.kind],
    origin: SITE_ORIGINS[file.origin],
    personalData: null,
    points: file.points.map((entry) => checkedPoint(path, entry, problems)),
  };
}

/** What a file can say is checked in its own words first; then what the resampler could not take. */
function checkedPoint(path: string, entry: PointEntry, problems: string[]): PointDeclared {
  const before = problems.length;
  const point = pointDeclared(path, entry, problems);
  const problem = problems.length === before ? pointProblem(point) : undefined;
  if (problem) problems.push(`${path}: point ${entry.pointId}: ${problem}`);
  return point;
}

function pointDeclared(path: string, entry: PointEntry, problems: string[]): PointDeclared {
  const intervalMs = spanMs(entry.interval);
  const maxHoldMs = entry.hold === undefined ? 2 * intervalMs : spanMs(entry.hold);
  const where = `${path}: point ${entry.pointId}`;
  for (const [name, ms] of [
    ['interval', intervalMs],
    ['hold', maxHoldMs],
  ] as const)
    if (ms < 1 || ms > MAX_POINT_INTERVAL_MS) problems.push(`${where}: ${name} must be between 1 ms and 24 d.`);
  const isRegister = entry.kind === 'register';
  if (!isRegister && (entry.registerRange !== undefined || entry.registerJitter !== undefined))
    problems.push(`${where}: registerRange and registerJitter belong to points of kind register.`);
  const registerModulusMilliWh = entry.registerRange === undefined ? null : energyMilliWh(entry.registerRange);
  if (registerModulusMilliWh === 0) problems.push(`${where}: registerRange must be above 0. Leave it out where it is not known.`);
  return {
    pointId: entry.pointId,
    name: entry.name,
    kind: POINT_KINDS[entry.kind],
    carrier: CARRIERS[entry.carrier],
    intervalMs,
    maxHoldMs,
    deliveryDelayMs: spanMs(entry.deliveryDelay ?? '0 ms'),
    registerModulusMilliWh,
    registerJitterMilliWh: energyMilliWh(entry.registerJitter ?? '0 mWh'),
    mayExport: entry.mayExport ?? false,
    forecast: entry.forecast ?? false,
  };
}

/** What stands more than once, each time but the first. */
function twice(texts: readonly string[]): string[] {
  return texts.filter((text, i) => texts.indexOf(text) < i);
}

function checkZone(path: string, timeZone: string, problems: string[]): void {
  try {
    utcOffsetMs(timeZone, 0);
  } catch {
    problems.push(`${path}: timeZone ${timeZone} is not known. Use an IANA name like Europe/Helsinki.`);
  }
}

function checkedInstant(path: string, text: string, problems: string[]): number {
  const ms = instantMs(text);
  if (Number.isNaN(ms)) problems.push(`${path}: since ${text} does not exist.`);
  if (ms < EARLIEST_SINCE_MS || ms >= LATEST_SINCE_MS) problems.push(`${path}: since ${text} is not a time from 1970 to 2099.`);
  return ms;
}
