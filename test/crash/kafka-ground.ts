/** Kafka, a registry and TimescaleDB under the pipeline, each of which can be killed. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { down, up } from '../../infra/services/lifecycle.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { killAndRestart, openTestServices, type TestServices } from '../services.ts';
import type { Ground } from './ground.ts';

/** Each member that dies or freezes is awaited for so long. */
const SESSION_MS = 2_000;

/** Compiled quickly rather than well, as servers that are killed live for seconds. */
const JVM_OPTIONS = '-XX:TieredStopAtLevel=1';

/** Brings the services up, for the tests of one file. */
export async function openKafkaGround(): Promise<Ground> {
  process.env.IFLEX_SERVICES_JVM_OPTIONS ??= JVM_OPTIONS;
  const { place, settings } = await openTestServices('kafka', 'apicurio', 'timescaledb');
  return {
    backend: {
      url: settings.DATABASE_URL,
      kafka: { ...kafkaSettings(settings)!, sessionMs: SESSION_MS },
      registry: registrySettings(settings)!,
    },
    speed: 100_000,
    memberCounts: [2, 3],
    outages: {
      database: { strike: () => killAndRestart(place, 'timescaledb') },
      'broker (SIGKILL)': { strike: () => killAndRestart(place, 'kafka') },
      'broker (SIGTERM)': {
        async strike() {
          await down(place, 'kafka');
          await up(place, 'kafka');
        },
      },
      // Only who begins asks it for anything.
      registry: { strike: () => killAndRestart(place, 'apicurio'), with: 'tasks' },
    },
    mend: (namespace, signal) => endHanging(settings, namespace, signal),
  };
}

/** As an operator does it. */
async function endHanging(settings: TestServices['settings'], namespace: string, signal: AbortSignal): Promise<number> {
  const args = [join(PROJECT_FOLDER, 'infra', 'iflex.js'), 'kafka', 'hanging', '--namespace', namespace, '--end'];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...settings }, signal });
    return stdout.match(/^ {2}ended: /gm)?.length ?? 0;
  } catch (error) {
    if (signal.aborted) return 0;
    throw error;
  }
}
