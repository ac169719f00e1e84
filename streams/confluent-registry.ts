/**
 * The schemas of a log in a registry of others, reached by its Confluent API. Subjects are "<topic>-value" whatever the
 * namespace, and let through only what is FULL_TRANSITIVE. A schema that differs from a registered one in its
 * documentation alone is not registered again, as it means the same bytes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Codec, fingerprint, type RegisteredSchema } from '../schemas/codec.ts';
import { currentSchemas } from '../schemas/files.ts';
import { IflexError } from './errors.ts';
import { REGISTRY_WITHIN_MS } from './limits.ts';
import { compareWithRecorded, type RecordedSchemas } from './recorded-schemas.ts';
import { RegistryClient, type SubjectVersion } from './registry-client.ts';
import type { RegistrySettings } from './registry-settings.ts';
import { subjectsOf } from './subjects.ts';

export interface ConfluentRegistryOptions {
  settings: RegistrySettings;
  recorded: RecordedSchemas;
  /** Is told what was set right in the registry, and what in it cannot be used. */
  tell: (line: string) => void;
  /** How long a registry that does not answer is tried again (ms). */
  withinMs?: number;
}

/** A version whose schema is Avro and stands for itself. */
type HeldSchema = SubjectVersion & { schema: string };

const LEVEL = 'FULL_TRANSITIVE';
/** Of what other processes may stand in the way of, with ever longer pauses between. */
const ATTEMPTS = 4;
const PAUSE_MS = 50;

/**
 * Registers the current schemas of all written topics where they are missing, and returns a codec that knows every schema
 * of their subjects. Throws SCHEMA_MISMATCH, SCHEMA_INCOMPATIBLE, REGISTRY_UNREACHABLE or CONFIG_INVALID.
 */
export async function openConfluentRegistry(options: ConfluentRegistryOptions): Promise<Codec> {
  const { settings, recorded, tell, withinMs = REGISTRY_WITHIN_MS } = options;
  const client = await RegistryClient.make(settings, withinMs);
  const current = currentSchemas();
  const codec = new Codec(current.values());
  try {
    const versions: SubjectVersion[] = [];
    for (const [name, schema] of current) versions.push(...(await registerSchema(client, subjectsOf(name), schema, tell)));
    addVersions(codec, versions, tell);
    // What a deleted version stood for is still known by its id.
    for (const id of (await recorded.read()).keys()) {
      const schema = codec.knows(id) ? undefined : await client.schemaOf(id);
      if (schema !== undefined) addSchema(codec, { id, schema });
    }
    await compareWithRecorded(recorded, codec);
  } finally {
    client.close();
  }
  return codec;
}

/**
 * Asks the registry for all that it holds of the written topics, by subject, then version. Who asks while an answer is
 * under way gets that answer. Throws REGISTRY_UNREACHABLE or CONFIG_INVALID.
 */
export function heldSchemas(settings: RegistrySettings): () => Promise<HeldSchema[]> {
  let underWay: Promise<HeldSchema[]> | undefined;
  return () => {
    underWay ??= readSubjects(settings).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

async function readSubjects(settings: RegistrySettings): Promise<HeldSchema[]> {
  const client = await RegistryClient.make(settings, 0);
  const subjects = [...currentSchemas().keys()].flatMap(subjectsOf).sort();
  try {
    const held: HeldSchema[] = [];
    for (const subject of subjects) for (const version of await client.versions(subject)) if (isHeld(version)) held.push(version);
    return held;
  } finally {
    client.close();
  }
}

const isHeld = (version: SubjectVersion): version is HeldSchema => version.schema !== undefined;

/** Registers a schema under those of its subjects that lack it; returns all versions of all of them. */
async function registerSchema(
  client: RegistryClient,
  subjects: readonly string[],
  schema: string,
  tell: (line: string) => void,
): Promise<SubjectVersion[]> {
  const print = fingerprint(schema);
  const means = (version: SubjectVersion) => version.schema !== undefined && safeFingerprint(version.schema) === print;
  const found = new Map<string, SubjectVersion[]>();
  for (const subject of subjects) found.set(subject, await client.versions(subject));
  // The very text that is registered elsewhere, as another text of the same meaning would have another id.
  const text = [...found.values()].flat().find(means)?.schema ?? schema;
  for (const [subject, before] of found) {
    const isNew = before.length === 0;
    if (!isNew) await holdLevel(client, subject, tell);
    if (!before.some(means)) found.set(subject, await registerUnder(client, subject, text, { before, means }));
    // Not earlier, as a registry may know nothing of a subject without a schema.
    if (isNew) await holdLevel(client, subject, () => {});
  }
  return [...found.values()].flat();
}

/**
 * Returns all versions of the subject. Who registers at the same time is refused like an incompatible change, also where
 * what stood in the way is not kept in the end: so a refusal counts once it was given again with nothing changed meanwhile.
 */
async function registerUnder(
  client: RegistryClient,
  subject: string,
  text: string,
  { before, means }: { before: readonly SubjectVersion[]; means(version: SubjectVersion): boolean },
): Promise<SubjectVersion[]> {
  let known = before.length;
  for (let refused = 1; ; refused++) {
    let refusal: IflexError | undefined;
    try {
      await client.register(subject, text);
    } catch (error) {
      if ((error as IflexError).code !== 'SCHEMA_INCOMPATIBLE') throw error;
      refusal = error as IflexError;
    }
    const now = await client.versions(subject);
    if (now.some(means)) return now;
    if (!refusal) throw new IflexError('SCHEMA_MISMATCH', `The registry did not keep the schema of ${subject} as it was registered.`);
    if (now.length !== known) refused = 0;
    if (refused === ATTEMPTS) throw refusal;
    known = now.length;
    await pause(PAUSE_MS * refused);
  }
}

/** Sets what changes a subject lets through, where it is something else; again where another process stood in the way. */
async function holdLevel(client: RegistryClient, subject: string, tell: (line: string) => void): Promise<void> {
  const before = await client.level(subject);
  if (before === LEVEL) return;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    await client.setLevel(subject, LEVEL);
    if ((await client.level(subject)) === LEVEL) {
      tell(`The compatibility of the subject ${subject} was ${before ?? 'not set'} and is ${LEVEL} now.`);
      return;
    }
    await pause(PAUSE_MS * attempt);
  }
  const after = await client.level(subject);
  throw new IflexError('CONFIG_INVALID', `The registry keeps the compatibility ${after} of the subject ${subject}; ${LEVEL} is needed.`);
}

/** Makes all known to the codec. Of several ids that mean a schema, the lowest is what is written: it came first. */
function addVersions(codec: Codec, versions: readonly SubjectVersion[], tell: (line: string) => void): void {
  const byId = new Map(versions.map((version) => [version.id, version]));
  for (const [id, { subject, version, schema }] of [...byId].sort(([a], [b]) => b - a)) {
    const problem = schema === undefined ? 'it is no Avro schema that stands for itself' : addSchema(codec, { id, schema });
    if (problem !== undefined)
      tell(`Version ${version} of the subject ${subject} (id ${id}) cannot be read, and events with it will be set aside: ${problem}.`);
  }
}

/** Says why not, where a schema cannot be made known. */
function addSchema(codec: Codec, schema: RegisteredSchema): string | undefined {
  try {
    codec.register(schema);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Undefined for what is not JSON. */
function safeFingerprint(schema: string): string | undefined {
  try {
    return fingerprint(schema);
  } catch {
    return undefined;
  }
}
