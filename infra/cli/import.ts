/** `iflex import`: files of readings into a log, and through the pipeline. */
import type { Command } from 'commander';
import { type ImportReport, importFiles } from '../../replay/import/import-files.ts';
import { type Mapping, presetNames, readMapping } from '../../replay/import/mapping-file.ts';
import { setAsideSince } from '../../replay/import/set-aside.ts';
import { IflexError } from '../../streams/errors.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { type Backend, findNamespace } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { isNamespaceLocked } from '../namespace-lock.ts';
import { type Pipeline, startPipeline } from '../pipeline.ts';
import { drainShown } from './drain.ts';
import { DEFAULT_NAMESPACE, type ExistingLog, untilInterrupted, withEngine, withExistingLog } from './existing-log.ts';
import { showProgress } from './progress.ts';

interface Options {
  namespace: string;
  omit?: string;
  run: boolean;
  json?: boolean;
  points?: boolean;
}

const HELP = `
A mapping says what the columns mean; one of your own begins with a preset, or says all by itself (every field:
replay/import/README.md). It names the site and points that the columns belong to, which stand in the pilot's files:
  extends: low-carbon-london
  meters:
    MAC000002: { site: site-…, points: { grid-import: point-… } }
A meter is what the mapping's meter column holds; where there is no such column, any name will do.

Readings that came too early for the log's clock, or that a rule refuses, are set aside with their reason:
\`iflex tap rejected\` shows them. Readings older than four hours appear within about 15 minutes where \`iflex run\` goes on.

Examples
  iflex import my-mapping.yaml readings.csv
  iflex import my-mapping.yaml 2026-*.csv.gz --namespace trial --points
  iflex import my-mapping.yaml readings.csv --omit filled-in.csv --no-run --json`;

export function registerImport(program: Command): void {
  program
    .command('import <mapping> <file...>')
    .description(
      `Import CSV files (gzipped or not) by a mapping file or a preset (${presetNames().join(', ')}). Importing a file again changes nothing.`,
    )
    .option('--namespace <name>', 'log to import into; its sites must be declared', DEFAULT_NAMESPACE)
    .option('--omit <file>', 'CSV file of spans whose readings are left out, with the columns of `omit` in the mapping')
    .option('--no-run', 'only append; do not run the pipeline afterwards')
    .option('--points', 'report every point by itself too')
    .option('--json', 'report as JSON')
    .addHelpText('after', HELP)
    .action((mapping: string, files: string[], options: Options) => importInto(readMapping(mapping), files, options));
}

async function importInto(mapping: Mapping, files: string[], options: Options): Promise<void> {
  const interrupted = untilInterrupted();
  const { signal } = interrupted;
  await withEngine((given) =>
    withDeclaredLog(given, options.namespace, async (existing) => {
      const { backend, log, codec } = existing;
      const clockRuns = await isNamespaceLocked(backend.url, options.namespace);
      if (options.run && !clockRuns && (await hasWaitingSites(log))) await runPipeline(backend, options.namespace, 0, signal);
      const ends = await log.endOffsets('rejected');
      const report = await importShown(existing, mapping, files, { ...options, clockRuns }, signal);
      const processed = options.run && !signal.aborted && (await runPipeline(backend, options.namespace, report.facts.appended, signal));
      const setAside = processed ? await setAsideSince(log, codec, ends) : null;
      if (options.json) console.log(JSON.stringify({ ...report, setAside, points: options.points ? report.points : undefined }, null, 2));
      else for (const line of reportLines(report, setAside, options.points === true)) console.log(line);
      if (!signal.aborted) return;
      console.error('Interrupted. The same command goes on where it ended.');
      process.exitCode = 130;
    }),
  );
}

/**
 * Whether declarations wait to be taken in. A task takes in facts by when they became known, but each topic in its order:
 * one that was declared first and is of later would hold up those behind it, and their readings would find no site.
 */
async function hasWaitingSites(log: EventLog): Promise<boolean> {
  for (const [partition, end] of (await log.endOffsets('sites')).entries())
    if (((await log.taskPositions(partition)).sites ?? 0) < end) return true;
  return false;
}

/** A log that is not there has no sites: it is made by declaring them. */
async function withDeclaredLog(backend: Backend, namespace: string, work: (existing: ExistingLog) => Promise<void>): Promise<void> {
  try {
    await findNamespace(backend, namespace);
  } catch (error) {
    if (!(error instanceof IflexError) || error.code !== 'NOT_FOUND') throw error;
    const next = `Declare the sites of the readings into it: \`iflex pilot declare FOLDER --namespace ${namespace}\`.`;
    throw new IflexError('NOT_FOUND', `${error.message}\n${next} \`iflex pilot new --help\` shows how to make a FOLDER.`, {}, error);
  }
  await withExistingLog(backend, namespace, work);
}

async function importShown(
  { log, codec }: ExistingLog,
  mapping: Mapping,
  files: string[],
  { omit, clockRuns }: Options & { clockRuns: boolean },
  signal: AbortSignal,
): Promise<ImportReport> {
  let progress: ReturnType<typeof showProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    progress ??= showProgress({ label: 'Importing', total, unit: 'bytes' });
    progress.update(done);
  };
  try {
    return await importFiles({ log, codec, mapping, files, omitFile: omit, importedAtMs: Date.now(), clockRuns, signal, onProgress });
  } finally {
    progress?.finish();
  }
}

/** Until everything is processed and projected, which is true then; where a pipeline runs on the namespace, that one does it. */
async function runPipeline(backend: Backend, namespace: string, appended: number, signal: AbortSignal): Promise<boolean> {
  let pipeline: Pipeline;
  try {
    pipeline = await startPipeline({ ...backend, namespace, codeVersion: codeVersion() });
  } catch (error) {
    if (!(error instanceof IflexError) || error.code !== 'PIPELINE_ALREADY_RUNNING') throw error;
    console.error('The pipeline that runs on this namespace processes what was imported.');
    return false;
  }
  try {
    await drainShown(pipeline, appended, signal);
    return !signal.aborted;
  } finally {
    await pipeline.stop();
  }
}

/** The report in lines for people; `setAside` is what the pipeline rejected, null where it has not run. */
export function reportLines(report: ImportReport, setAside: Record<string, number> | null, withPoints: boolean): string[] {
  const { doubled, missing, facts, ticks } = report;
  const same = report.sameFiles > 0 ? ` (${report.sameFiles} of them the same as another)` : '';
  const tooFar = doubled.notCompared > 0 ? `, ${doubled.notCompared} too far back to compare` : '';
  const among = ticks === null ? 'ticks among them' : `${ticks} of them ticks`;
  const lines = [
    `read      ${report.lines} lines of ${report.files} files${same}: ${report.readings} readings, ${report.blank} blank, ${report.omitted} left out`,
    `doubled   ${doubled.identical} identical, ${doubled.conflicting} conflicting${tooFar}`,
    `rejected  ${countsByCode(report.rejected)}`,
    ...(setAside === null ? [] : [`set aside ${countsByCode(setAside)} (by the pipeline)`]),
    `missing   ${missing.readings} readings in ${missing.gaps} gaps, the longest ${missing.longestGapMs / 60_000} min`,
    `appended  ${facts.appended} events, ${among}; ${facts.redelivered} were in the log already`,
    ...report.notes,
  ];
  if (withPoints)
    for (const point of report.points)
      lines.push(
        `  ${point.siteId} ${point.pointId}: ${point.readings} readings, ${point.identicalDoubles + point.conflictingDoubles} doubled, ${point.missing} missing in ${point.gaps} gaps, the longest ${point.longestGapMs / 60_000} min`,
      );
  return lines;
}

function countsByCode(counts: Record<string, number>): string {
  const parts = Object.entries(counts).map(([code, count]) => `${code} ${count} readings`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}
