/** New pilot folders and site files, from templates that explain themselves. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { makeFolders } from '../../streams/make-folders.ts';
import { parseDeclared, readDeclaredFile, told } from './declared-file.ts';
import { CARRIERS, PilotFile, POINT_KINDS, SITE_KINDS, SITE_ORIGINS, SiteFile } from './pilot-file.ts';
import { PILOT_FILE, pilotDeclared, SITES_FOLDER, siteDeclared } from './read-instance.ts';

export interface NewPilot {
  folder: string;
  name: string;
  country: string;
  timeZone: string;
  language: string;
  bidZone?: string;
  /** When the pilot becomes known: a day or a full time. */
  since: string;
}

const pseudonym = (prefix: string) => `${prefix}-${randomBytes(8).toString('hex')}`;
const oneOf = (names: object) => Object.keys(names).join(' | ');

/** Writes a pilot's folder; throws CONFIG_INVALID where one stands there already or an answer is wrong. Returns the file's path. */
export function writeNewPilot({ folder, name, country, timeZone, language, bidZone, since }: NewPilot): string {
  const path = join(folder, PILOT_FILE);
  const text = `# A pilot: who shares a market, a time zone and a language. Its sites stand in ${SITES_FOLDER}/ (\`iflex site add\`).
pilotId: ${pseudonym('pilot')} # random, never changes
since: ${JSON.stringify(since)} # before everything that is read of the pilot
name: ${JSON.stringify(name)}
country: ${JSON.stringify(country)} # ISO 3166
timeZone: ${JSON.stringify(timeZone)} # IANA
language: ${JSON.stringify(language)}
${bidZone === undefined ? '# bidZone: FI' : `bidZone: ${JSON.stringify(bidZone)}`} # market zone of the prices
`;
  const problems: string[] = [];
  pilotDeclared(path, parseDeclared(path, text, PilotFile), problems);
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
  writeOnce(folder, path, text);
  return path;
}

export interface NewSite {
  /** The pilot's folder. */
  folder: string;
  kind: string;
  origin: string;
  /** The pilot's where not given. */
  timeZone?: string;
  since?: string;
  points: NewPoint[];
}

export interface NewPoint {
  name: string;
  kind: string;
  interval: string;
  carrier: string;
}

/** Writes the file of one more site, with random pseudonyms; returns its path. Throws CONFIG_INVALID where an answer is wrong. */
export function writeNewSite({ folder, kind, origin, timeZone, since, points }: NewSite): string {
  const pilot = readDeclaredFile(join(folder, PILOT_FILE), PilotFile);
  const siteId = pseudonym('site');
  const path = join(folder, SITES_FOLDER, `${siteId}.yaml`);
  const text = `# A site: no names, addresses or other personal data here; what these ids belong to is kept elsewhere.
siteId: ${siteId} # random, never changes
pilotId: ${pilot.pilotId}
since: ${JSON.stringify(since ?? pilot.since)} # before the first reading
timeZone: ${JSON.stringify(timeZone ?? pilot.timeZone)}
kind: ${kind} # ${oneOf(SITE_KINDS)}
origin: ${origin} # ${oneOf(SITE_ORIGINS)}
points:
${points.map(pointText).join('')}`;
  const problems: string[] = [];
  siteDeclared(path, parseDeclared(path, text, SiteFile), problems);
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
  writeOnce(folder, path, text);
  return path;
}

const pointText = ({ name, kind, interval, carrier }: NewPoint) => `  - pointId: ${pseudonym('point')} # random, never changes
    name: ${JSON.stringify(name)} # what it measures, no personal data
    kind: ${kind} # ${oneOf(POINT_KINDS)}
    carrier: ${carrier} # ${oneOf(CARRIERS)}
    interval: ${interval} # expected spacing; length of each interval
    # hold: 30 min          # instantaneous kinds: how long a sample holds when no next one comes (default two intervals)
    # deliveryDelay: 1 d    # how late deliveries may be by agreement (default 0 min)
    # registerRange: 100000 kWh # registers: where the count starts again at zero
    # registerJitter: 1 Wh  # registers: a fall by at most this is jitter
    # mayExport: true       # negative values are expected
    # forecast: true        # the forecaster serves this point
`;

/** Throws CONFIG_INVALID where the file stands there already, or cannot be written. */
function writeOnce(folder: string, path: string, text: string): void {
  if (existsSync(path)) throw new IflexError('CONFIG_INVALID', `${path} exists. Choose another folder, or edit the file.`);
  try {
    makeFolders(join(folder, SITES_FOLDER));
    writeFileSync(path, text, { flag: 'wx' });
  } catch (error) {
    throw new IflexError('CONFIG_INVALID', `${path} cannot be written: ${(error as Error).message}.`, {}, error);
  }
}
