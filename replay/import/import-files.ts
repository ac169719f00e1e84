/** Imports CSV files into a log: checks everything that can be checked first, then feeds what the files say. */
import { hash } from 'node:crypto';
import type { Codec } from '../../schemas/codec.ts';
import type { SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { MAX_IMPORT_FILES, MINUTE_MS } from '../../streams/limits.ts';
import { type Fact, feed } from '../facts.ts';
import { readDeclarations } from '../instance/declare.ts';
import { told } from '../instance/declared-file.ts';
import { Coverage, type PointCoverage } from './coverage.ts';
import { type FileSource, factsOf, type ImportCounts } from './deliveries.ts';
import { contentOf, linesOf } from './lines.ts';
import { isPreset, type Mapping } from './mapping-file.ts';
import { mergeByKnownAt } from './merge.ts';
import { OlderReadings } from './older-readings.ts';
import { fieldsOf, type Omitted } from './rows.ts';
import { instantsOf } from './stamps.ts';

export interface ImportOptions {
  log: EventLog;
  codec: Codec;
  mapping: Mapping;
  files: readonly string[];
  /** CSV file of spans to leave out, with the columns of `mapping.omit`. */
  omitFile?: string;
  /** When the import happens (UTC epoch ms): knownAt of mappings with that rule. */
  importedAtMs: number;
  /** Event time per wall time; Infinity: as fast as it goes. */
  speed?: number;
  /** Whether a clock moves the stream time of the log: it closes the last windows and makes reloads due, which else the import does. */
  clockRuns?: boolean;
  /** Only what became known in this span (UTC epoch ms, end exclusive); default: all. The report counts all that was read. */
  known?: { fromMs: number; toMs: number };
  signal?: AbortSignal;
  /** Bytes read of all bytes (unpacked). */
  onProgress?: (done: number, total: number) => void;
}

export interface ImportReport extends ImportCounts {
  files: number;
  /** Files whose content was among the others already. */
  sameFiles: number;
  doubled: { identical: number; conflicting: number; notCompared: number };
  missing: { readings: number; gaps: number; longestGapMs: number };
  /** Deliveries and bad lines appended, and those that the log had already. */
  facts: { appended: number; redelivered: number };
  /** Ticks among what was appended; null where a clock appends others at the same time. */
  ticks: number | null;
  points: PointCoverage[];
  /** What works, but not as well as it could. */
  notes: string[];
}

const OLDER_NOTE = 'Readings older than four hours appear within about 15 minutes, at most 6 hours.';

/** Throws CONFIG_INVALID where mapping, declarations and files do not fit, before anything is appended. */
export async function importFiles(options: ImportOptions): Promise<ImportReport> {
  const { log, codec, mapping, files, importedAtMs, signal, onProgress } = options;
  if (files.length > MAX_IMPORT_FILES)
    throw new IflexError(
      'CONFIG_INVALID',
      `${files.length} files are more than the ${MAX_IMPORT_FILES} that are merged at once. Join some.`,
    );
  const { sites } = await readDeclarations(log, codec);
  const declared = new Map([...sites].map(([siteId, { value }]) => [siteId, value]));
  checkMeters(mapping, declared);
  const omitted = options.omitFile === undefined ? [] : await readOmitted(options.omitFile, mapping);
  const { sources, totalBytes } = await distinctFiles(files);
  const counts: ImportCounts = { lines: 0, blankLines: 0, readings: 0, blank: 0, omitted: 0, rejected: {}, emptyFiles: [], bytes: 0 };
  const coverage = new Coverage();
  const context = { mapping, sites: declared, omitted, importedAtMs, counts, coverage };
  const merged = mergeByKnownAt(sources.map((source) => factsOf(source, context)));
  const ticksBefore = options.clockRuns ? null : await tickCount(log);
  const contents = sources.map(({ sha256 }) => sha256).sort();
  const tickSource = `import ${hash('sha256', JSON.stringify([contents, mapping.identity, [...mapping.meters], mapping.tickMs]))}`;
  const older = new OlderReadings(log, tickSource);
  const fed = await feed({
    log,
    codec,
    facts: older.watch(options.known ? knownIn(merged, options.known) : merged),
    tickMs: mapping.tickMs,
    tickSource,
    speed: options.speed ?? Number.POSITIVE_INFINITY,
    settleMs: settleMs(mapping, declared),
    notAfterMs: options.clockRuns ? importedAtMs : undefined,
    closing: options.clockRuns ? undefined : (lastTickMs) => older.closingTicks(lastTickMs, mapping.tickMs),
    signal,
    onProgress: () => onProgress?.(counts.bytes, totalBytes),
  });
  return {
    ...counts,
    files: files.length,
    sameFiles: files.length - sources.length,
    facts: fed,
    ticks: ticksBefore === null ? null : (await tickCount(log)) - ticksBefore,
    ...summary(coverage.finish()),
    notes: [
      ...counts.emptyFiles.map((path) => `${path} holds no readings.`),
      ...notesOn(mapping, declared),
      ...(options.clockRuns && older.found ? [OLDER_NOTE] : []),
    ],
  };
}

async function tickCount(log: EventLog): Promise<number> {
  return (await log.endOffsets('ticks')).reduce((sum, end) => sum + end, 0);
}

async function* knownIn(facts: AsyncIterable<Fact>, { fromMs, toMs }: { fromMs: number; toMs: number }): AsyncGenerator<Fact> {
  for await (const fact of facts) {
    if (fact.value.knownAtMs >= toMs) return;
    if (fact.value.knownAtMs >= fromMs) yield fact;
  }
}

function summary(points: PointCoverage[]): Pick<ImportReport, 'doubled' | 'missing' | 'points'> {
  const doubled = { identical: 0, conflicting: 0, notCompared: 0 };
  const missing = { readings: 0, gaps: 0, longestGapMs: 0 };
  for (const point of points) {
    doubled.identical += point.identicalDoubles;
    doubled.conflicting += point.conflictingDoubles;
    doubled.notCompared += point.notCompared;
    missing.readings += point.missing;
    missing.gaps += point.gaps;
    missing.longestGapMs = Math.max(missing.longestGapMs, point.longestGapMs);
  }
  return { doubled, missing, points };
}

/** The sites and points that the mapping names must be declared, of the kind and interval that it says. */
function checkMeters(mapping: Mapping, declared: ReadonlyMap<string, SiteDeclared>): void {
  const problems: string[] = [];
  if (mapping.meters.size === 0) throw new IflexError('CONFIG_INVALID', withoutMeters(mapping, declared));
  for (const [name, { site, points }] of mapping.meters) {
    const declaration = declared.get(site);
    if (!declaration) problems.push(`meters.${name}: the site ${site} is not declared. Declare it with \`iflex pilot declare\`.`);
    for (const rule of declaration ? mapping.values : []) {
      const pointId = points[rule.name];
      if (pointId === undefined) continue;
      const point = declaration!.points.find((candidate) => candidate.pointId === pointId);
      if (!point) problems.push(`meters.${name}: the site ${site} declares no point ${pointId}.`);
      else if (point.kind !== rule.kind || point.intervalMs !== rule.intervalMs)
        problems.push(
          `meters.${name}: the point ${pointId} is declared as ${point.kind} each ${point.intervalMs} ms, but the mapping has ${rule.kind} each ${rule.intervalMs} ms.`,
        );
    }
  }
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
}

/** So many declared sites are shown as examples. */
const MAX_SITES_SHOWN = 3;

/** What to write, with the sites that are declared: a newcomer has nothing else to go by. */
function withoutMeters(mapping: Mapping, declared: ReadonlyMap<string, SiteDeclared>): string {
  const why = `The mapping ${mapping.origin} has no \`meters\`: say which site and points the columns belong to.`;
  const fitting = [...declared.values()].flatMap(({ siteId, points }) => {
    const pairs = mapping.values.flatMap((rule) => {
      const point =
        points.find(({ name, kind, intervalMs }) => name === rule.name && kind === rule.kind && intervalMs === rule.intervalMs) ??
        points.find(({ kind, intervalMs }) => kind === rule.kind && intervalMs === rule.intervalMs);
      return point ? [`${JSON.stringify(rule.name)}: ${point.pointId}`] : [];
    });
    return pairs.length > 0 ? [`{ site: ${siteId}, points: { ${pairs.join(', ')} } }`] : [];
  });
  if (fitting.length === 0) {
    const { file } = mapping.values[0];
    const point = `--point ${file.name},${file.kind},"${file.interval}",${file.carrier}`;
    return `${why}\nNo declared site has a point that fits. Add one: \`iflex site add FOLDER ${point}\`, then \`iflex pilot declare FOLDER\`.`;
  }
  const named = mapping.meterColumn === undefined ? 1 : MAX_SITES_SHOWN;
  const lines = fitting.slice(0, named).map((meter, i) => `  ${mapping.meterColumn === undefined ? 'all' : `METER-${i + 1}`}: ${meter}`);
  const where = mapping.meterColumn === undefined ? '' : `\nIn place of METER-1 … stands what the column ${mapping.meterColumn} holds.`;
  const file = isPreset(mapping.origin)
    ? `Write a file my-mapping.yaml like this, and import by it:\n\nextends: ${mapping.origin}`
    : `Add this to ${mapping.origin}:\n`;
  return `${why} ${file}\nmeters:\n${lines.join('\n')}\n${where}`.trimEnd();
}

/** Points whose windows close before their readings come by this mapping: right in the end, but every window is revised. */
function notesOn(mapping: Mapping, declared: ReadonlyMap<string, SiteDeclared>): string[] {
  const afterMs = typeof mapping.knownAt === 'object' && 'afterMs' in mapping.knownAt ? mapping.knownAt.afterMs : 0;
  const neededMs = mapping.deliveryMs + afterMs;
  const early = [...mapping.meters.values()].flatMap(({ site, points }) => {
    const wanted = new Set(Object.values(points));
    return declared.get(site)!.points.filter(({ pointId, deliveryDelayMs }) => wanted.has(pointId) && deliveryDelayMs < neededMs);
  });
  if (early.length === 0) return [];
  const which = `${early[0].pointId}${early.length > 1 ? ` and ${early.length - 1} more` : ''}`;
  const minutes = Math.ceil(neededMs / MINUTE_MS);
  return [
    `Windows of ${which} close before the readings of this mapping come, and are revised. With \`deliveryDelay: ${minutes} min\` in their site files they wait.`,
  ];
}

/** The latest that windows of the mapped points wait for late deliveries by agreement. */
function settleMs(mapping: Mapping, declared: ReadonlyMap<string, SiteDeclared>): number {
  let latestMs = 0;
  for (const { site } of mapping.meters.values())
    for (const { deliveryDelayMs } of declared.get(site)!.points) latestMs = Math.max(latestMs, deliveryDelayMs);
  return latestMs;
}

async function distinctFiles(paths: readonly string[]): Promise<{ sources: FileSource[]; totalBytes: number }> {
  const sources = new Map<string, FileSource>();
  let totalBytes = 0;
  for (const path of paths) {
    const content = await contentOf(path);
    if (sources.has(content.sha256)) continue;
    sources.set(content.sha256, { path, ...content });
    totalBytes += content.byteLength;
  }
  return { sources: [...sources.values()], totalBytes };
}

/** Reads the spans to leave out. Throws CONFIG_INVALID where a line of the file cannot be read. */
async function readOmitted(path: string, mapping: Mapping): Promise<Omitted> {
  const { omit, delimiter, parseStamp, zone } = mapping;
  if (!omit) throw new IflexError('CONFIG_INVALID', `The mapping has no \`omit\`, so it does not say what the columns of ${path} mean.`);
  const spans: [number, number][] = [];
  let at: [number, number] | undefined;
  for await (const lines of linesOf(path)) {
    for (const { bytes, number } of lines) {
      const fields = fieldsOf(bytes.toString('utf8'), delimiter) ?? [];
      if (at === undefined) {
        at = [fields.indexOf(String(omit.first)), fields.indexOf(String(omit.last))];
        if (at.includes(-1)) throw new IflexError('CONFIG_INVALID', `${path} has no columns ${omit.first} and ${omit.last}.`);
        continue;
      }
      if (bytes.length === 0) continue;
      const [first, last] = at.map((column) => {
        const stamp = parseStamp((fields[column] ?? '').trim());
        return stamp?.instantMs ?? (stamp ? (instantsOf(stamp.localMs, zone)[0] ?? Number.NaN) : Number.NaN);
      });
      if (!(first <= last)) throw new IflexError('CONFIG_INVALID', `${path}:${number}: the line is not a span of two stamps.`);
      spans.push([first, last]);
    }
  }
  return disjoint(spans);
}

function disjoint(spans: [number, number][]): number[] {
  const row: number[] = [];
  for (const [first, last] of spans.sort((a, b) => a[0] - b[0])) {
    if (row.length > 0 && first <= row[row.length - 1]) row[row.length - 1] = Math.max(row[row.length - 1], last);
    else row.push(first, last);
  }
  return row;
}
