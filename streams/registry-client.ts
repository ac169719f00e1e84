/**
 * Requests to a registry that has Confluent's API, through the HTTP client of @kafkajs/confluent-schema-registry. Its
 * errors hold nothing but a status and a text, and a broken connection has the status 400, which registries do not give.
 */
import { Agent as HttpAgent, type AgentOptions as HttpOptions } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as HttpsOptions } from 'node:https';
import type { SchemaRegistryAPIClient } from '@kafkajs/confluent-schema-registry/dist/api/index.js';
import { IflexError } from './errors.ts';
import { MAX_SUBJECT_VERSIONS, REGISTRY_ANSWER_WITHIN_MS } from './limits.ts';
import type { RegistrySettings } from './registry-settings.ts';
import { Patience } from './retry.ts';

/** A version of a subject, and the schema that it stands for. */
export interface SubjectVersion {
  subject: string;
  version: number;
  id: number;
  /** Its text: that of an Avro schema which stands for itself, else undefined. */
  schema: string | undefined;
}

interface Answer {
  data(): unknown;
}

interface Failure {
  status: number;
  message: string;
}

const NOT_FOUND = 404;
const CONFLICT = 409;
/** A broken connection, a time-out, too many requests; and all that is above 499. */
const FOR_THE_TIME_BEING = [400, 408, 429];

export class RegistryClient {
  private readonly url: string;
  private readonly withinMs: number;
  private readonly agent: HttpAgent;
  private readonly api: SchemaRegistryAPIClient;

  private constructor(url: string, withinMs: number, agent: HttpAgent, api: SchemaRegistryAPIClient) {
    this.url = url;
    this.withinMs = withinMs;
    this.agent = agent;
    this.api = api;
  }

  /** Asks nothing yet. `withinMs`: how long a registry that does not answer is tried again. */
  static async make({ url, auth, tls }: RegistrySettings, withinMs: number): Promise<RegistryClient> {
    // Loaded here, as it would make every command without such a registry start later.
    const { default: library } = await import('@kafkajs/confluent-schema-registry/dist/api/index.js');
    const pool: HttpOptions & HttpsOptions = { ...tls, keepAlive: true };
    const agent = tls ? new HttpsAgent(pool) : new HttpAgent(pool);
    // What the library would try again by itself is only some of what may be.
    const api = library.default({ clientId: 'iflex', host: url, agent, ...(auth && { auth }), retry: { retries: 0 } });
    return new RegistryClient(url, withinMs, agent, api);
  }

  close(): void {
    this.agent.destroy();
  }

  /** All versions of a subject that are not deleted, ascending; none where there is no such subject. */
  async versions(subject: string): Promise<SubjectVersion[]> {
    const latest = await this.version(subject, 'latest');
    if (latest === undefined) return [];
    if (latest.version > MAX_SUBJECT_VERSIONS)
      throw new IflexError('CONFIG_INVALID', `The subject ${subject} has more than ${MAX_SUBJECT_VERSIONS} versions.`);
    const versions: SubjectVersion[] = [];
    for (let number = 1; number < latest.version; number++) {
      const found = await this.version(subject, String(number));
      if (found) versions.push(found);
    }
    return [...versions, latest];
  }

  private async version(subject: string, version: string): Promise<SubjectVersion | undefined> {
    const found = await this.ask(() => this.api.Subject.version({ subject, version }));
    if (found === undefined) return undefined;
    return { subject, version: this.numberIn(found, 'version'), id: this.numberIn(found, 'id'), schema: schemaIn(found) };
  }

  /** Text of the schema of an id, whichever subject has it; undefined where there is none. */
  async schemaOf(id: number): Promise<string | undefined> {
    const found = await this.ask(() => this.api.Schema.find({ id }));
    return found && schemaIn(found);
  }

  /** Makes a schema the next version of a subject. Throws SCHEMA_INCOMPATIBLE where the registry refuses the change. */
  async register(subject: string, schema: string): Promise<void> {
    const made = await this.ask(() => this.api.Subject.register({ subject, body: { schema } }));
    if (made === undefined) throw this.noRegistry();
    this.numberIn(made, 'id');
  }

  /** Which changes the subject lets through; undefined where it says nothing of its own. */
  async level(subject: string): Promise<string | undefined> {
    const found = await this.ask(() => this.api.Subject.config({ subject }));
    return typeof found?.compatibilityLevel === 'string' ? found.compatibilityLevel : undefined;
  }

  /** Look at the level again after it, as registries do without a word what they cannot. */
  async setLevel(subject: string, compatibility: string): Promise<void> {
    try {
      await this.ask(() => this.api.Subject.updateConfig({ subject, body: { compatibility } }));
    } catch (error) {
      // Another process sets it at the same time.
      if ((error as IflexError).code !== 'SCHEMA_INCOMPATIBLE') throw error;
    }
  }

  /** Undefined for what is not found. Asks again for as long as the registry may come back: each request may be repeated. */
  private async ask(request: () => Promise<Answer>): Promise<Record<string, unknown> | undefined> {
    const patience = new Patience(this.withinMs);
    for (;;) {
      try {
        const answer = (await inTime(request())).data();
        if (typeof answer !== 'object' || answer === null) throw this.noRegistry();
        return answer as Record<string, unknown>;
      } catch (error) {
        if (error instanceof IflexError) throw error;
        if ((error as Failure).status === NOT_FOUND) return undefined;
        await patience.afterFailure(this.errorOf(error as Failure & Error));
      }
    }
  }

  private errorOf(failure: Failure & Error): IflexError {
    const { status, message } = failure;
    if (status === undefined || status >= 500 || FOR_THE_TIME_BEING.includes(status))
      return new IflexError('REGISTRY_UNREACHABLE', `The schema registry at ${this.url} does not answer: ${message}.`, {}, failure);
    if (status === CONFLICT)
      return new IflexError(
        'SCHEMA_INCOMPATIBLE',
        `The schema registry refuses a schema as the next version of its subject: ${message}`,
        {},
        failure,
      );
    return new IflexError(
      'CONFIG_INVALID',
      `The schema registry at ${this.url} refuses what is asked (${status}): ${message}`,
      {},
      failure,
    );
  }

  private numberIn(answer: Record<string, unknown>, name: string): number {
    const value = answer[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.noRegistry();
    return value;
  }

  private noRegistry(): IflexError {
    return new IflexError('CONFIG_INVALID', `What answers at ${this.url} is not the root of a Confluent-compatible registry.`);
  }
}

function schemaIn({ schema, schemaType = 'AVRO', references }: Record<string, unknown>): string | undefined {
  const isAlone = !Array.isArray(references) || references.length === 0;
  return typeof schema === 'string' && schemaType === 'AVRO' && isAlone ? schema : undefined;
}

/** A bound of our own, as the client under it has none, and never ends a request whose answer breaks off. */
async function inTime(request: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the answer did not come in time')), REGISTRY_ANSWER_WITHIN_MS);
  });
  try {
    return await Promise.race([request, late]);
  } finally {
    clearTimeout(timer);
  }
}
