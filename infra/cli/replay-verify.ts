/** `iflex replay --verify`: what the log holds is what its facts give. */
import { TOPOLOGY } from '../../processors/topology.ts';
import { differencesOf } from '../../replay/compare-events.ts';
import { describeRunDifferences, recordedRun } from '../../replay/compare-runs.ts';
import type { Codec } from '../../schemas/codec.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { describeRun, stateLabel } from '../../streams/run.ts';
import { type Verification, verifyTask } from '../../streams/verify.ts';
import type { Backend } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { configurationHash } from '../pipeline.ts';
import { withExistingLog } from './existing-log.ts';
import { showProgress } from './progress.ts';

/**
 * Prints what was checked; sets the exit status to 1 where any task differs. With a time, each task begins at its latest
 * kept snapshot of before it (of the same processors and settings), or else at its first step, and which is told.
 */
export async function verifyNamespace(backend: Backend, namespace: string, fromMs: number | null): Promise<void> {
  await withExistingLog(backend, namespace, async ({ log, codec }) => {
    console.log(`Verifying "${namespace}" with iflex ${codeVersion()}.`);
    const now = describeRun({ codec, processors: TOPOLOGY, codeVersion: codeVersion(), configurationHash: configurationHash() });
    const label = stateLabel(TOPOLOGY, configurationHash());
    const progress = showProgress({ label: 'Verifying', total: PARTITION_COUNT, unit: 'tasks' });
    const lines: string[] = [];
    const done: Verification[] = [];
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const start = fromMs === null ? null : await log.keptSnapshot(partition, label, fromMs);
      const verified = await verifyTask({ log, codec, processors: TOPOLOGY, partition, start: start ?? undefined });
      done.push(verified);
      const begin = start
        ? `after the snapshot of ${new Date(start.streamTimeMs).toISOString()} (step ${start.stepNumber})`
        : 'from its first step';
      if (verified.steps > 0) lines.push(`Task ${partition}, ${begin}: ${verified.records} facts, ${verified.outputs} events emitted`);
      lines.push(...differenceLines(codec, verified));
      if (verified.difference !== null) {
        const recorded = await recordedRun(log, codec, partition, verified.found?.headers.run);
        lines.push(...describeRunDifferences(recorded, now).map((line) => `  ${line}`));
      }
      progress.update(partition + 1);
    }
    progress.finish();
    for (const line of lines) console.log(line);
    const differing = done.filter(({ difference }) => difference !== null).length;
    const outputs = done.reduce((sum, verified) => sum + verified.outputs, 0);
    console.log(
      differing === 0 ? `${outputs} events: the log holds the same canonical bytes.` : `${differing} of ${PARTITION_COUNT} tasks differ.`,
    );
    if (differing > 0) process.exitCode = 1;
  });
}

/** The first difference of a task, where in the events it is, and what they name as their causes. */
function differenceLines(codec: Codec, { difference, emitted, found }: Verification): string[] {
  if (difference === null) return [];
  const lines = [`  differs: ${difference}`];
  if (emitted) lines.push(`  emitted because of ${emitted.headers.causes}`);
  if (found) lines.push(`  in the log because of ${found.headers.causes}`);
  if (emitted && found && emitted.key === found.key)
    for (const { path, left, right } of differencesOf(codec, emitted, codec, found)) lines.push(`  ${path}: ${left}, in the log ${right}`);
  return lines;
}
