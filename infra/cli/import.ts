/** `iflex import`: files of readings into a log, and through the pipeline. */
import type { Command } from 'commander';
import { type ImportReport, importFiles } from '../../replay/import/import-files.ts';
import { type Mapping, presetNames, readMapping } from '../../replay/import/mapping-file.ts';
import { IflexError } from '../../streams/errors.ts';
import { codeVersion } from '../code-version.ts';
import { type Pipeline, startPipeline } from '../pipeline.ts';
import { DEFAULT_NAMESPACE, type ExistingLog, untilInterrupted, withEngine, withExistingLog } from './existing-log.ts';
import { showProgress } from './progress.ts';

interface Options {
  namespace: string;
  omit?: string;
  run: boolean;
  json?: boolean;
  points?: boolean;
}

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
    .action((mapping: string, files: string[], options: Options) => importInto(readMapping(mapping), files, options));
}

async function importInto(mapping: Mapping, files: string[], options: Options): Promise<void> {
  const interrupted = untilInterrupted();
  const { signal } = interrupted;
  await withEngine((url) =>
    withExistingLog(url, options.namespace, async (existing) => {
      const report = await importShown(existing, mapping, files, options, signal);
      if (options.run && !signal.aborted) await runPipeline(existing.url, options.namespace, signal);
      if (options.json) console.log(JSON.stringify(options.points ? report : { ...report, points: undefined }, null, 2));
      else for (const line of reportLines(report, options.points === true)) console.log(line);
      if (!signal.aborted) return;
      console.error('Interrupted. The same command goes on where it ended.');
      process.exitCode = 130;
    }),
  );
}

async function importShown(
  { log, codec }: ExistingLog,
  mapping: Mapping,
  files: string[],
  { omit }: Options,
  signal: AbortSignal,
): Promise<ImportReport> {
  let progress: ReturnType<typeof showProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    progress ??= showProgress({ label: 'Importing', total, unit: 'bytes' });
    progress.update(done);
  };
  try {
    return await importFiles({ log, codec, mapping, files, omitFile: omit, importedAtMs: Date.now(), signal, onProgress });
  } finally {
    progress?.finish();
  }
}

/** Until everything is processed and projected; where a pipeline runs on the namespace already, that one does it. */
async function runPipeline(url: string, namespace: string, signal: AbortSignal): Promise<void> {
  let pipeline: Pipeline;
  try {
    pipeline = await startPipeline({ url, namespace, codeVersion: codeVersion() });
  } catch (error) {
    if (!(error instanceof IflexError) || error.code !== 'PIPELINE_ALREADY_RUNNING') throw error;
    console.error('The pipeline that runs on this namespace processes what was imported.');
    return;
  }
  const stop = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    console.error('Processing …');
    await Promise.race([pipeline.drained(), stop]);
  } finally {
    await pipeline.stop();
  }
}

/** The report in lines for people. */
export function reportLines(report: ImportReport, withPoints: boolean): string[] {
  const { doubled, missing, facts } = report;
  const same = report.sameFiles > 0 ? ` (${report.sameFiles} of them the same as another)` : '';
  const rejected = Object.entries(report.rejected).map(([code, count]) => `${code} ${count}`);
  const tooFar = doubled.notCompared > 0 ? `, ${doubled.notCompared} too far back to compare` : '';
  const lines = [
    `read      ${report.lines} lines of ${report.files} files${same}: ${report.readings} readings, ${report.blank} blank, ${report.omitted} left out`,
    `doubled   ${doubled.identical} identical, ${doubled.conflicting} conflicting${tooFar}`,
    `rejected  ${rejected.length === 0 ? 'none' : rejected.join(', ')}`,
    `missing   ${missing.readings} readings in ${missing.gaps} gaps, the longest ${missing.longestGapMs / 60_000} min`,
    `appended  ${facts.appended} events; ${facts.redelivered} were in the log already`,
    ...report.notes,
  ];
  if (withPoints)
    for (const point of report.points)
      lines.push(
        `  ${point.siteId} ${point.pointId}: ${point.readings} readings, ${point.identicalDoubles + point.conflictingDoubles} doubled, ${point.missing} missing in ${point.gaps} gaps, the longest ${point.longestGapMs / 60_000} min`,
      );
  return lines;
}
