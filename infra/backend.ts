/**
 * Where events, schemas and projections live: all in one PostgreSQL, or the log in Kafka and the schemas in a registry of
 * its own, as the environment says. The one place that knows which log is behind the port.
 */
import type { Codec } from '../schemas/codec.ts';
import { openConfluentRegistry } from '../streams/confluent-registry.ts';
import type { EventLog } from '../streams/event-log.ts';
import { KafkaCluster } from '../streams/kafka-cluster.ts';
import { openKafkaLog } from '../streams/kafka-log.ts';
import { dropKafkaNamespace, listKafkaNamespaces, lookUpKafkaNamespace } from '../streams/kafka-namespaces.ts';
import type { HangingFound } from '../streams/kafka-repair.ts';
import { kafkaRecordedSchemas } from '../streams/kafka-schemas.ts';
import { type KafkaSettings, kafkaSettings } from '../streams/kafka-settings.ts';
import {
  findNamespace as findPostgresNamespace,
  listNamespaces as listPostgresNamespaces,
  lookUpNamespace as lookUpPostgresNamespace,
  type Namespace,
  namespaceNotes,
  notFound,
} from '../streams/namespaces.ts';
import { createNamespaceSchema, dropNamespace as dropPostgresNamespace, openPostgresLog } from '../streams/postgres-log.ts';
import type { RecordedSchemas } from '../streams/recorded-schemas.ts';
import { type RegistrySettings, registrySettings } from '../streams/registry-settings.ts';
import { openRegistry, withRecordedSchemas } from '../streams/schema-registry.ts';

export interface Backend {
  /** PostgreSQL: projections; the log and the schemas too, where they are not elsewhere. */
  url: string;
  /** The log's cluster. */
  kafka?: KafkaSettings;
  /** The registry of the schemas. */
  registry?: RegistrySettings;
}

/** What the environment says beside the database. Throws CONFIG_INVALID. */
export function backendOf(url: string): Backend {
  const [kafka, registry] = [kafkaSettings(), registrySettings()];
  return { url, ...(kafka && { kafka }), ...(registry && { registry }) };
}

/** `onHanging`: as of the log on Kafka. */
export async function openLog({ url, kafka }: Backend, namespace: string, onHanging?: (found: HangingFound) => void): Promise<EventLog> {
  if (!kafka) return openPostgresLog({ url, namespace });
  const log = await openKafkaLog({ settings: kafka, namespace, ...(onHanging && { onHanging }) });
  try {
    await createNamespaceSchema(url, namespace, log.id);
  } catch (error) {
    await log.close();
    throw error;
  }
  return log;
}

/** Of a namespace whose log was opened before. */
export async function openCodec({ url, kafka, registry }: Backend, namespace: string): Promise<Codec> {
  const open = (recorded?: RecordedSchemas) =>
    registry && recorded
      ? openConfluentRegistry({ settings: registry, recorded, tell: (line) => console.error(line) })
      : openRegistry(url, namespace, recorded);
  if (!kafka) return registry ? withRecordedSchemas(url, namespace, open) : open();
  const cluster = new KafkaCluster(kafka, `iflex ${namespace} schemas`);
  return open(kafkaRecordedSchemas(cluster, namespace)).finally(() => cluster.close());
}

/** All namespaces that hold a log, by name. */
export async function listNamespaces({ url, kafka }: Backend): Promise<Namespace[]> {
  if (!kafka) return listPostgresNamespaces(url);
  const [found, notes] = [await listKafkaNamespaces(kafka), await namespaceNotes(url)];
  return found.map((each) => ({ ...each, note: notes.get(each.name) ?? null }));
}

/** The namespace of a name, or undefined where there is none. Looks into no other one. */
export async function lookUpNamespace({ url, kafka }: Backend, name: string): Promise<Namespace | undefined> {
  if (!kafka) return lookUpPostgresNamespace(url, name);
  const found = await lookUpKafkaNamespace(kafka, name);
  return found && { ...found, note: (await namespaceNotes(url)).get(name) ?? null };
}

/** As `lookUpNamespace`, but throws NOT_FOUND with the names that there are. */
export async function findNamespace(backend: Backend, name: string): Promise<Namespace> {
  if (!backend.kafka) return findPostgresNamespace(backend.url, name);
  const found = await lookUpNamespace(backend, name);
  if (found) return found;
  throw notFound(
    name,
    (await listKafkaNamespaces(backend.kafka)).map((each) => each.name),
  );
}

/** Drops a whole namespace: log, state and projections. */
export async function dropNamespace({ url, kafka }: Backend, name: string): Promise<void> {
  await dropPostgresNamespace(url, name);
  if (kafka) await dropKafkaNamespace(kafka, name);
}
