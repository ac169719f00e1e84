/** `iflex replay --what-if`: recorded facts through the pipeline of a namespace of their own. */
import { once } from 'node:events';
import { COMPARED_TOPICS, compareLogs, describeComparison } from '../../replay/compare.ts';
import { type ReplayProgress, replayFacts } from '../../replay/replay.ts';
import type { FactRange } from '../../replay/replay-order.ts';
import { IflexError } from '../../streams/errors.ts';
import { noteNamespace } from '../../streams/namespaces.ts';
import { type Backend, findNamespace, lookUpNamespace, openLog } from '../backend.ts';
import { codeVersion } from '../code-version.ts';
import { type Pipeline, startPipeline } from '../pipeline.ts';
import { type ExistingLog, untilInterrupted, withExistingLog } from './existing-log.ts';
import { dropIdleNamespace } from './namespaces.ts';
import { showProgress } from './progress.ts';

export interface WhatIf {
  backend: Backend;
  source: string;
  /** Where the source is, if not in the same backend. */
  sourceBackend?: Backend;
  namespace: string;
  range: FactRange;
  speed: number;
  existing: Existing;
  compareWith?: string;
}

/** Replays, waits until everything is processed, and prints what came out and how it compares. */
export async function replayIntoNamespace(whatIf: WhatIf): Promise<void> {
  const { backend, source, namespace, range, compareWith } = whatIf;
  await withExistingLog(whatIf.sourceBackend ?? backend, source, async (original) => {
    if (compareWith !== undefined) await findNamespace(backend, compareWith);
    await prepareTarget(backend, namespace, whatIf.existing, noteOf(source, range));
    const interrupted = untilInterrupted();
    const progress = await runReplay(whatIf, original, interrupted.signal);
    console.log(`${progress.appended} facts replayed into "${namespace}", ${progress.redelivered} were there already.`);
    if (interrupted.signal.aborted) {
      console.log('Interrupted. Go on with the same command and --resume.');
      process.exitCode = 130;
      return;
    }
    if (compareWith !== undefined) {
      const equal = await withExistingLog(backend, compareWith, (other) => printComparison(compareWith, other, whatIf));
      if (!equal) process.exitCode = 1;
    } else if (range.fromMs === Number.NEGATIVE_INFINITY && range.toMs === Number.POSITIVE_INFINITY)
      await printComparison(source, original, whatIf);
    console.log(
      `See it with \`iflex tap resampled.15m --namespace ${namespace}\`; be rid of it with \`iflex namespaces drop ${namespace} --yes\`.`,
    );
  });
}

/** What to do with a namespace that an earlier replay made. */
export type Existing = 'refuse' | 'replace' | 'resume';

const NOTE_BEGINS = 'what-if replay of ';

/** What a replay writes about its namespace. */
export function noteOf(source: string, { fromMs, toMs }: FactRange): string {
  const from = Number.isFinite(fromMs) ? `, known from ${new Date(fromMs).toISOString()}` : '';
  const to = Number.isFinite(toMs) ? `, known before ${new Date(toMs).toISOString()}` : '';
  return `${NOTE_BEGINS}${source}${from}${to}`;
}

/** Makes the namespace and notes what for: only what a replay made is ever dropped or gone on with by a replay. */
export async function prepareTarget(backend: Backend, namespace: string, existing: Existing, note: string): Promise<void> {
  const found = await lookUpNamespace(backend, namespace);
  if (found && existing === 'refuse')
    throw new IflexError(
      'CONFIG_INVALID',
      `The namespace "${namespace}" exists${found.note ? ` (${found.note})` : ''}. Give another name, or --replace or --resume a replay.`,
    );
  if (found && !found.note?.startsWith(NOTE_BEGINS))
    throw new IflexError(
      'CONFIG_INVALID',
      `The namespace "${namespace}" was not made by a replay, so no replay writes to it. Give another name.`,
    );
  if (found && existing === 'resume' && found.note !== note)
    throw new IflexError(
      'CONFIG_INVALID',
      `The namespace "${namespace}" is another one (${found.note}), not: ${note}. Give its options, or --replace.`,
    );
  if (!found && existing === 'resume')
    throw new IflexError('NOT_FOUND', `There is no namespace "${namespace}" to go on with. Leave out --resume to make it.`);
  if (found && existing === 'resume') return;
  if (found) await dropIdleNamespace(backend, namespace);
  await (await openLog(backend, namespace)).close();
  await noteNamespace(backend.url, namespace, note);
}

async function runReplay({ backend, namespace, range, speed }: WhatIf, source: ExistingLog, signal: AbortSignal): Promise<ReplayProgress> {
  const pipeline = await startPipeline({ ...backend, namespace, codeVersion: codeVersion() });
  try {
    const progress = await Promise.race([feedAll(pipeline, source, range, speed, signal), pipeline.failed]);
    if (!signal.aborted) await Promise.race([pipeline.drained(), once(signal, 'abort')]);
    return progress;
  } finally {
    await pipeline.stop();
  }
}

async function feedAll(
  { log: target, codec }: Pipeline,
  { log: source, codec: sourceCodec }: ExistingLog,
  range: FactRange,
  speed: number,
  signal: AbortSignal,
): Promise<ReplayProgress> {
  console.error('Looking through the facts of the source …');
  let shown: ReturnType<typeof showProgress> | undefined;
  try {
    return await replayFacts({
      ...{ source, target, range, speed, signal, codecs: { source: sourceCodec, target: codec } },
      onPlanned: ({ facts }) => (shown = showProgress({ label: 'Replaying', total: facts, unit: 'facts' })),
      onProgress: ({ facts, knownAtMs }) => shown?.update(facts, new Date(knownAtMs).toISOString().slice(0, 16)),
    });
  } finally {
    shown?.finish();
  }
}

/** Prints topic by topic; whether all are equal. "left" is the other side, "right" the replay. */
export async function printComparison(
  other: string,
  left: ExistingLog,
  { backend, namespace }: Pick<WhatIf, 'backend' | 'namespace'>,
): Promise<boolean> {
  console.log(`Compared with "${other}" (left) by canonical bytes:`);
  return withExistingLog(backend, namespace, async (right) => {
    let equal = true;
    for await (const comparison of compareLogs(left, right, COMPARED_TOPICS)) {
      console.log(`  ${describeComparison(comparison).replaceAll('\n', '\n  ')}`);
      equal &&= comparison.divergence === null;
    }
    return equal;
  });
}
