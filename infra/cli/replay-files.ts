/** `iflex replay FILE…`: files of a declared pilot through the pipeline of a namespace of their own, at any speed. */
import { once } from 'node:events';
import { importFiles } from '../../replay/import/import-files.ts';
import { type Mapping, readMapping } from '../../replay/import/mapping-file.ts';
import { setAsideSince } from '../../replay/import/set-aside.ts';
import { declare } from '../../replay/instance/declare.ts';
import { type Instance, readInstance } from '../../replay/instance/read-instance.ts';
import type { FactRange } from '../../replay/replay-order.ts';
import type { Backend } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { startPipeline } from '../pipeline.ts';
import { untilInterrupted, withExistingLog } from './existing-log.ts';
import { reportLines } from './import.ts';
import { showProgress } from './progress.ts';
import { type Existing, noteOf, prepareTarget, printComparison } from './replay-what-if.ts';

export interface FileReplay {
  /** Folder of the pilot whose sites the mapping names. */
  pilot: string;
  /** Mapping file or preset. */
  mapping: string;
  files: readonly string[];
  namespace: string;
  range: FactRange;
  speed: number;
  existing: Existing;
  compareWith?: string;
}

/** Reads pilot and mapping first, so that what is wrong with them is told before anything is made. */
export function fileReplay(replay: FileReplay): (backend: Backend) => Promise<void> {
  const instance = readInstance(replay.pilot);
  const mapping = readMapping(replay.mapping);
  return (backend) => replayFiles(backend, replay, instance, mapping);
}

async function replayFiles(backend: Backend, replay: FileReplay, instance: Instance, mapping: Mapping): Promise<void> {
  const { namespace, range, compareWith } = replay;
  const interrupted = untilInterrupted();
  await prepareTarget(backend, namespace, replay.existing, noteOf(`files ${replay.files.join(' ')}`, range));
  await runFiles(backend, replay, instance, mapping, interrupted.signal);
  if (interrupted.signal.aborted) {
    console.log('Interrupted. Go on with the same command and --resume.');
    process.exitCode = 130;
  } else if (compareWith !== undefined) {
    const equal = await withExistingLog(backend, compareWith, (other) => printComparison(compareWith, other, { backend, namespace }));
    if (!equal) process.exitCode = 1;
  }
}

async function runFiles(
  backend: Backend,
  { namespace, files, range, speed }: FileReplay,
  instance: Instance,
  mapping: Mapping,
  signal: AbortSignal,
): Promise<void> {
  const pipeline = await startPipeline({ ...backend, namespace, codeVersion: codeVersion() });
  let shown: ReturnType<typeof showProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    shown ??= showProgress({ label: 'Replaying', total, unit: 'bytes' });
    shown.update(done);
  };
  try {
    const { log, codec } = pipeline;
    await declare(log, codec, instance);
    const ends = await log.endOffsets('rejected');
    const imported = importFiles({ log, codec, mapping, files, importedAtMs: Date.now(), speed, known: range, signal, onProgress });
    const report = await Promise.race([imported, pipeline.failed]);
    if (!signal.aborted) await Promise.race([pipeline.drained(), once(signal, 'abort')]);
    const setAside = signal.aborted ? null : await setAsideSince(log, codec, ends);
    for (const line of reportLines(report, setAside, false)) console.log(line);
  } finally {
    shown?.finish();
    await pipeline.stop();
  }
}
