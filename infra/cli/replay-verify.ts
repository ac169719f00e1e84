/** `iflex replay --verify`: what the log holds is what its facts give. */
import { TOPOLOGY } from '../../processors/topology.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { verifyTask } from '../../streams/verify.ts';
import { codeVersion } from '../code-version.ts';
import { withExistingLog } from './existing-log.ts';
import { showProgress } from './progress.ts';

/** Prints what was checked; sets the exit status to 1 at the first difference of any task. */
export async function verifyNamespace(url: string, namespace: string): Promise<void> {
  await withExistingLog(url, namespace, async ({ log, codec }) => {
    console.log(`Verifying "${namespace}" from its first step on, with iflex ${codeVersion()}.`);
    const progress = showProgress({ label: 'Verifying', total: PARTITION_COUNT, unit: 'tasks' });
    const sums = { steps: 0, records: 0, outputs: 0 };
    const differences: string[] = [];
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const verified = await verifyTask({ log, codec, processors: TOPOLOGY, partition });
      sums.steps += verified.steps;
      sums.records += verified.records;
      sums.outputs += verified.outputs;
      if (verified.difference !== null) differences.push(`Task ${partition}: ${verified.difference}`);
      progress.update(partition + 1);
    }
    progress.finish();
    for (const difference of differences) console.error(difference);
    console.log(
      `${sums.steps} steps of ${PARTITION_COUNT} tasks took ${sums.records} facts and emitted ${sums.outputs} events: ${
        differences.length === 0 ? 'the log holds the same canonical bytes' : `${differences.length} tasks differ`
      }.`,
    );
    if (differences.length > 0) process.exitCode = 1;
  });
}
