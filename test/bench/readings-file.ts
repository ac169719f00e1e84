/** A seeded CSV file of one-minute readings of many points with late and doubled lines, and the same for a peer. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { mappingOf } from '../../replay/import/mapping-file.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { seededRandom } from '../crash/scenario.ts';

export const FILE_FROM_MS = Date.UTC(2024, 0, 1);
const LATE_SHARE = 0.02;
const MAX_LATE_MINUTES = 30;
const DOUBLED_SHARE = 0.005;

export interface ReadingsFile {
  path: string;
  /** The same lines without doubles, with numbers for points: what COPY can load into a table with this key. */
  peerPath: string;
  /** Distinct readings. */
  readings: number;
  doubled: number;
}

export const meterOf = (point: number) => `meter-${point}`;
const siteOf = (point: number) => `site-${point}`;

/** What the columns of the file mean, with the sites and points of its meters. */
export function mappingOfFile(points: number) {
  const meters = Object.fromEntries(
    Array.from({ length: points }, (_, point) => [meterOf(point), { site: siteOf(point), points: { power: `point-${point}` } }]),
  );
  return mappingOf('the file of the benchmark', {
    stamp: { column: 'start', format: 'iso', marks: 'start' },
    knownAt: { after: '1 min' },
    delivery: '1 h',
    tick: '5 min',
    meter: { column: 'meter' },
    values: [{ name: 'power', column: 'watt', kind: 'mean-power', carrier: 'electricity', interval: '1 min', unit: 'W' }],
    meters,
  } as Parameters<typeof mappingOf>[1]);
}

export function writeReadingsFile(folder: string, points: number, minutes: number): ReadingsFile {
  const random = seededRandom(5);
  const file: ReadingsFile = { path: `${folder}/readings.csv`, peerPath: `${folder}/peer.csv`, readings: 0, doubled: 0 };
  const ours = openSync(file.path, 'w');
  const peer = openSync(file.peerPath, 'w');
  writeSync(ours, 'meter,start,watt\n');
  const late: { line: string; peerLine: string }[][] = Array.from({ length: MAX_LATE_MINUTES + 1 }, () => []);
  for (let minute = 0; minute < minutes + MAX_LATE_MINUTES; minute++) {
    let lines = '';
    let peerLines = '';
    for (const { line, peerLine } of late[minute % late.length].splice(0)) {
      lines += line;
      peerLines += peerLine;
    }
    const start = new Date(FILE_FROM_MS + minute * MINUTE_MS).toISOString().replace('.000', '');
    for (let point = 0; minute < minutes && point < points; point++) {
      const watt = Math.round(random() * 50_000) / 10;
      const line = `${meterOf(point)},${start},${watt}\n`;
      const peerLine = `${point},${start},${watt}\n`;
      const chance = random();
      file.readings++;
      if (chance < LATE_SHARE) late[(minute + 1 + Math.floor(random() * (MAX_LATE_MINUTES - 1))) % late.length].push({ line, peerLine });
      else {
        lines += chance > 1 - DOUBLED_SHARE ? line + line : line;
        peerLines += peerLine;
        if (chance > 1 - DOUBLED_SHARE) file.doubled++;
      }
    }
    writeSync(ours, lines);
    writeSync(peer, peerLines);
  }
  closeSync(ours);
  closeSync(peer);
  return file;
}
