/** Apache Kafka: one node, broker and controller. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchWithDependencies } from './maven.ts';
import { clientPort, portsOf, serviceFolder, writeConfiguration } from './place.ts';
import { answersAsKafka } from './probe.ts';
import type { Service } from './service.ts';
import { runSetup } from './setup.ts';
import { findJava } from './tool.ts';
import { KAFKA_HEAP_MB, KAFKA_VERSION, LOG4J_VERSION } from './versions.ts';

const ARTIFACTS = [`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`, `org.apache.logging.log4j:log4j-slf4j-impl:${LOG4J_VERSION}`];

export const kafka: Service = {
  name: 'kafka',
  stopSignal: 'SIGTERM',
  async install(place, folder) {
    await findJava();
    await fetchWithDependencies(place, 'kafka', ARTIFACTS, folder);
  },
  async prepare(place, folder) {
    const java = await findJava();
    const dataFolder = serviceFolder(place, 'kafka', 'data');
    const [port, controllerPort] = portsOf(place, 'kafka');
    const configuration = writeConfiguration(place, 'kafka', 'kafka.properties', { host: place.host, port, controllerPort, dataFolder });
    const logging = writeConfiguration(place, 'kafka', 'kafka-log4j2.properties', {});
    const run = [`-Dlog4j2.configurationFile=${logging}`, '-cp', `${folder}/*`];
    if (!existsSync(join(dataFolder, 'meta.properties'))) {
      // A cluster id must not begin with a dash, as it is an argument.
      const cluster = `k${randomBytes(16).toString('base64url').slice(1, 22)}`;
      const format = ['kafka.tools.StorageTool', 'format', '-t', cluster, '-c', configuration];
      await runSetup(place, 'kafka', { command: java, args: [...run, ...format] });
    }
    return { command: java, args: [`-Xms256m`, `-Xmx${KAFKA_HEAP_MB}m`, ...run, 'kafka.Kafka', configuration] };
  },
  isReady: (place) => answersAsKafka(clientPort(place, 'kafka')),
  clientSettings: (place) => ({ KAFKA_BROKERS: `127.0.0.1:${clientPort(place, 'kafka')}` }),
};
