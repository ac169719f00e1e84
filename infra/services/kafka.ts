/** Apache Kafka: one node, broker and controller. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchWithDependencies } from './maven.ts';
import { clientPort, portsOf, type ServicesPlace, serviceFolder, writeConfiguration } from './place.ts';
import { answersAsKafka } from './probe.ts';
import type { Launch } from './process.ts';
import type { Service } from './service.ts';
import { runSetup } from './setup.ts';
import { findJava } from './tool.ts';
import { KAFKA_HEAP_MB, KAFKA_VERSION, LOG4J_VERSION } from './versions.ts';

const ARTIFACTS = [`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`, `org.apache.logging.log4j:log4j-slf4j-impl:${LOG4J_VERSION}`];

/** What a broker has beside the common configuration; default: nothing, as it is alone and open to this machine. */
export interface BrokerOptions {
  /** Of the cluster that it belongs to; default: one of its own. */
  clusterId?: string;
  properties?: Readonly<Record<string, string | number>>;
  /** Arguments of the first formatting of its data, as users that are there from the beginning. */
  formatting?: readonly string[];
}

export const kafka: Service = {
  name: 'kafka',
  stopSignal: 'SIGTERM',
  async install(place, folder) {
    await findJava();
    await fetchWithDependencies(place, 'kafka', ARTIFACTS, folder);
  },
  prepare: prepareBroker,
  isReady: (place) => answersAsKafka(clientPort(place, 'kafka')),
  clientSettings: (place) => ({ KAFKA_BROKERS: `127.0.0.1:${clientPort(place, 'kafka')}` }),
};

/** Writes the configuration and, before its first start, formats the data; gives how to start it. */
export async function prepareBroker(place: ServicesPlace, folder: string, options: BrokerOptions = {}): Promise<Launch> {
  const { clusterId = newClusterId(), properties = {}, formatting = [] } = options;
  const java = await findJava();
  const dataFolder = serviceFolder(place, 'kafka', 'data');
  const [port, controllerPort] = portsOf(place, 'kafka');
  const values = { host: place.host, port, controllerPort, dataFolder };
  const configuration = writeConfiguration(place, 'kafka', 'kafka.properties', values, properties);
  const logging = writeConfiguration(place, 'kafka', 'kafka-log4j2.properties', {});
  const run = [`-Dlog4j2.configurationFile=${logging}`, '-cp', `${folder}/*`];
  if (!existsSync(join(dataFolder, 'meta.properties'))) {
    const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', configuration, ...formatting];
    await runSetup(place, 'kafka', { command: java, args: [...run, ...format] });
  }
  return { command: java, args: [`-Xms256m`, `-Xmx${KAFKA_HEAP_MB}m`, ...place.jvmOptions, ...run, 'kafka.Kafka', configuration] };
}

/** A cluster id must not begin with a dash, as it is an argument. */
export function newClusterId(): string {
  return `k${randomBytes(16).toString('base64url').slice(1, 22)}`;
}
