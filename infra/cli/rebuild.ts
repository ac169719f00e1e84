/** `iflex rebuild`: the tables of a projection once more, from the log. */
import type { Command } from 'commander';
import { PROJECTIONS } from '../../projections/list.ts';
import { type RebuildOptions, type RebuildReport, rebuild } from '../../projections/rebuild.ts';
import { openProjections } from '../../projections/store.ts';
import { IflexError } from '../../streams/errors.ts';
import { DEFAULT_NAMESPACE, withEngine, withExistingLog } from './existing-log.ts';
import { showProgress } from './progress.ts';

interface Options {
  namespace: string;
  acceptDifferences?: boolean;
}

export function registerRebuild(program: Command): void {
  program
    .command('rebuild <projection>')
    .description(
      `Build the tables of a projection anew from the log, compare, and switch (${PROJECTIONS.map(({ name }) => name).join(', ')}).`,
    )
    .option('--namespace <name>', 'namespace of the log', DEFAULT_NAMESPACE)
    .option('--accept-differences', 'switch even where rows differ, as after a change of version')
    .addHelpText('after', '\nExamples\n  iflex rebuild series\n  iflex rebuild forecasts --namespace trial --accept-differences')
    .action(runRebuild);
}

async function runRebuild(name: string, options: Options): Promise<void> {
  const projection = PROJECTIONS.find((known) => known.name === name);
  if (!projection)
    throw new IflexError(
      'CONFIG_INVALID',
      `There is no projection "${name}". There are: ${PROJECTIONS.map((known) => known.name).join(', ')}.`,
    );
  await withEngine((backend) =>
    withExistingLog(backend, options.namespace, async ({ log, codec }) => {
      const store = await openProjections(backend.url, options.namespace, codec);
      try {
        const report = await rebuildShown({ log, store, projection, acceptDifferences: options.acceptDifferences === true });
        for (const line of describe(report)) console.log(line);
        if (!report.switched) process.exitCode = 1;
      } finally {
        await store.close();
      }
    }),
  );
}

/** Rows that the load finds unfit are read once more, so that the bar may begin anew. */
async function rebuildShown(options: RebuildOptions): Promise<RebuildReport> {
  let shown: ReturnType<typeof showProgress> | undefined;
  try {
    return await rebuild({
      ...options,
      onProgress({ read, of, stage }) {
        shown ??= showProgress({ label: `Rebuilding ${options.projection.name}`, total: of, unit: 'events' });
        shown.update(read, stage === 'comparing' ? 'comparing' : '');
      },
    });
  } finally {
    shown?.finish();
  }
}

/** The report in lines for people. */
export function describe(report: RebuildReport): string[] {
  const lines = Object.entries(report.rows).map(([table, count]) => `${table.padEnd(20)} ${count.toLocaleString('en')} rows`);
  if (report.skipped > 0) lines.push(`${report.skipped} events were skipped, see projection_skipped.`);
  for (const { table, onlyNew, onlyOld, columnsAdded, columnsRemoved, examples } of report.differences) {
    lines.push(`${table}: ${onlyNew} rows only in the new build, ${onlyOld} only in the current one`);
    if (columnsAdded.length > 0) lines.push(`  new columns: ${columnsAdded.join(', ')}`);
    if (columnsRemoved.length > 0) lines.push(`  columns gone: ${columnsRemoved.join(', ')}`);
    for (const { side, row } of examples) lines.push(`  ${side}: ${row}`);
  }
  if (!report.switched) lines.push('Nothing was switched. Run again with --accept-differences to take the new build all the same.');
  else lines.push(report.differences.length === 0 ? 'The rows are the same; switched to the new build.' : 'Switched to the new build.');
  return lines;
}
