/** Waiting, with a bar, until a pipeline has done everything. */
import { once } from 'node:events';
import type { Pipeline } from '../pipeline.ts';
import { showProgress } from './progress.ts';

const PROGRESS_EVERY_MS = 200;

/** Until all that was appended is processed and projected, or the signal; rejects where the pipeline fails. */
export async function drainShown(pipeline: Pipeline, appended: number, signal: AbortSignal): Promise<void> {
  const shown = showProgress({ label: 'Processing', total: appended, unit: 'facts and ticks' });
  const processed = () => pipeline.running.tasks.reduce((sum, { progress }) => sum + progress.records, 0);
  const timer = setInterval(() => shown.update(processed()), PROGRESS_EVERY_MS);
  try {
    await Promise.race([pipeline.drained(), signal.aborted ? undefined : once(signal, 'abort')]);
    shown.update(processed());
  } finally {
    clearInterval(timer);
    shown.finish();
  }
}
