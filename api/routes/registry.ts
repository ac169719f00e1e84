/**
 * The schema registry at the paths of Confluent's, for reading, so that outside tools decode what the topics carry: that of
 * the engine, or what a registry of others holds of our topics, for those who reach only the API. Errors have the form that
 * those tools know.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { RegisteredSchema } from '../../projections/queries/registered-schemas.ts';
import { ERROR_CODES, type ErrorCode, IflexError } from '../../streams/errors.ts';
import { OTHER_METHODS } from '../access.ts';
import { asIflexError, headersOf, statusOf } from '../problems.ts';
import type { Api } from '../server.ts';
import { Query } from '../shapes.ts';

const REGISTRY_TYPE = 'application/vnd.schemaregistry.v1+json';
const NO_SUBJECT = 40401;
const NO_VERSION = 40402;
const NO_SCHEMA = 40403;
const BAD_VERSION = 42202;

const config = { access: { action: 'read', kind: 'schemas' } } as const;
const tags = ['Schemas'];
const Id = Type.Object({ id: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }) });
const Subject = Type.Object({ subject: Type.String({ minLength: 1, maxLength: 200 }) });
const Version = Type.Object({ ...Subject.properties, version: Type.String({ maxLength: 20, description: 'A number, or "latest"' }) });
/** Clients send parameters of their own (`deleted`, `fetchMaxId`, `format` …), which mean nothing here. */
const querystring = Query({
  deleted: Type.Optional(Type.Boolean()),
  normalize: Type.Optional(Type.Boolean()),
  fetchMaxId: Type.Optional(Type.Boolean()),
  defaultToGlobal: Type.Optional(Type.Boolean()),
  subject: Type.Optional(Type.String({ maxLength: 200 })),
  format: Type.Optional(Type.String({ maxLength: 40 })),
});
const ErrorShape = Type.Object({ error_code: Type.Integer(), message: Type.String() });
const wrong = { description: 'Error', content: { [REGISTRY_TYPE]: { schema: ErrorShape } } };
const answer = <S>(schema: S) => ({ 200: { description: 'Found', content: { [REGISTRY_TYPE]: { schema } } }, '4xx': wrong, '5xx': wrong });
const Registered = Type.Object({ subject: Type.String(), version: Type.Integer(), id: Type.Integer(), schema: Type.String() });
const Mode = Type.Object({ mode: Type.String() });
const Use = Type.Object({ subject: Type.String(), version: Type.Integer() });

/** Everything that the registry knows of our topics, by subject, then version: some dozens of rows. */
export type Schemas = () => Promise<RegisteredSchema[]>;

/** In a scope of its own, as its errors look different. */
export function registerRegistry(app: Api, schemas: Schemas): void {
  app.setErrorHandler(sendRegistryError);
  app.addHook('preHandler', async (_, reply) => {
    reply.header('content-type', REGISTRY_TYPE);
  });
  app.get(
    '/subjects',
    { config, schema: { tags, summary: 'Subjects', querystring, response: answer(Type.Array(Type.String())) } },
    async () => [...new Set((await schemas()).map(({ subject }) => subject))],
  );
  app.get(
    '/subjects/:subject/versions',
    {
      config,
      schema: { tags, summary: 'Versions of a subject', params: Subject, querystring, response: answer(Type.Array(Type.Integer())) },
    },
    async ({ params }) => versionsOf(await schemas(), params.subject).map(({ version }) => version),
  );
  app.get(
    '/subjects/:subject/versions/:version',
    { config, schema: { tags, summary: 'One version of a subject', params: Version, querystring, response: answer(Registered) } },
    async ({ params }) => versionOf(await schemas(), params),
  );
  app.get(
    '/subjects/:subject/versions/:version/schema',
    { config, schema: { tags, summary: 'The schema alone', params: Version, querystring, response: answer(Type.String()) } },
    async ({ params }, reply) => reply.serializer(String).send(versionOf(await schemas(), params).schema),
  );
  app.get(
    '/schemas/ids/:id',
    {
      config,
      schema: { tags, summary: 'A schema by its id', params: Id, querystring, response: answer(Type.Object({ schema: Type.String() })) },
    },
    async ({ params }) => ({ schema: usesOf(await schemas(), params.id)[0].schema }),
  );
  app.get(
    '/schemas/ids/:id/versions',
    { config, schema: { tags, summary: 'Where a schema is used', params: Id, querystring, response: answer(Type.Array(Use)) } },
    async ({ params }) => usesOf(await schemas(), params.id).map(({ subject, version }) => ({ subject, version })),
  );
  app.get(
    '/schemas/types',
    { config, schema: { tags, summary: 'Types of schemas', querystring, response: answer(Type.Array(Type.String())) } },
    async () => ['AVRO'],
  );
  registerSettings(app, schemas);
  refuseWrites(app);
}

/** What clients look at before they write. */
function registerSettings(app: Api, schemas: Schemas): void {
  app.get(
    '/config',
    {
      config,
      schema: {
        tags,
        summary: 'Which changes of schemas are let through',
        querystring,
        response: answer(Type.Object({ compatibilityLevel: Type.String() })),
      },
    },
    async () => ({ compatibilityLevel: 'FULL_TRANSITIVE' }),
  );
  app.get(
    '/config/:subject',
    {
      config,
      schema: {
        tags,
        summary: 'Which changes of the schemas of a subject are let through: the same for all',
        params: Subject,
        querystring,
        response: answer(Type.Object({ compatibilityLevel: Type.String() })),
      },
    },
    async ({ params }) => {
      versionsOf(await schemas(), params.subject);
      return { compatibilityLevel: 'FULL_TRANSITIVE' };
    },
  );
  for (const url of ['/mode', '/mode/:subject'])
    app.get(
      url,
      {
        config,
        schema: {
          tags,
          summary: 'Whether clients may register schemas: never',
          querystring,
          ...(url === '/mode' ? {} : { params: Subject }),
          response: answer(Mode),
        },
      },
      async () => ({ mode: 'READONLY' }),
    );
}

/** Addresses of Confluent's that only writers (and who looks a schema up by its text) ask: refused in the form that they know. */
function refuseWrites(app: Api): void {
  for (const url of [
    '/subjects/:subject',
    '/compatibility/subjects/:subject/versions',
    '/compatibility/subjects/:subject/versions/:version',
  ])
    app.route({
      method: OTHER_METHODS,
      url,
      schema: { hide: true } as object,
      config: { ...config, refusesMethod: { allow: '' } },
      // The guard has answered before.
      handler: (_, reply) => reply.code(405).send(),
    });
}

function versionsOf(schemas: RegisteredSchema[], subject: string): RegisteredSchema[] {
  const versions = schemas.filter((one) => one.subject === subject);
  if (versions.length === 0) throw notFound(NO_SUBJECT, `Subject '${subject}' not found.`);
  return versions;
}

function versionOf(schemas: RegisteredSchema[], { subject, version }: { subject: string; version: string }): RegisteredSchema {
  const versions = versionsOf(schemas, subject);
  if (version === 'latest' || version === '-1') return versions.at(-1)!;
  if (!/^[1-9]\d{0,8}$/.test(version))
    throw new IflexError('REQUEST_INVALID', `The specified version '${version}' is not a valid version id.`, { registryCode: BAD_VERSION });
  const found = versions.find((one) => one.version === Number(version));
  if (!found) throw notFound(NO_VERSION, `Version ${version} not found.`);
  return found;
}

function usesOf(schemas: RegisteredSchema[], id: number): RegisteredSchema[] {
  const uses = schemas.filter((one) => one.id === id);
  if (uses.length === 0) throw notFound(NO_SCHEMA, `Schema ${id} not found`);
  return uses;
}

const notFound = (registryCode: number, message: string) => new IflexError('NOT_FOUND', message, { registryCode });

const READ_ONLY =
  'This registry is read-only: the pipeline itself registers the schemas of its topics (schemas/README.md says how one is added). ' +
  'Clients decode by /schemas/ids/{id}; set auto.register.schemas to false, and take ids from /subjects/{subject}/versions/latest.';

const OF_OTHERS: readonly ErrorCode[] = ['REGISTRY_UNREACHABLE', 'CONFIG_INVALID'];

/** Codes of Confluent's registry are the HTTP status with two more digits. */
function sendRegistryError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asIflexError(thrown);
  const { registryCode } = error.details as { registryCode?: number };
  // Where Confluent's own code begins with another status (422 for a bad version), its clients expect that status.
  const status = registryCode === undefined ? statusOf(error.code) : Math.floor(registryCode / 100);
  if (status >= 500) request.log.error({ err: error.cause ?? error, code: error.code }, error.message);
  headersOf(error, reply);
  const cure = error.code === 'METHOD_NOT_ALLOWED' ? ` ${READ_ONLY}` : '';
  // What a registry of others says may name hosts and ports.
  const message = OF_OTHERS.includes(error.code) ? ERROR_CODES[error.code] : error.message;
  const body = { error_code: registryCode ?? status * 100 + 1, message: `${error.code}: ${message}${cure}` };
  return reply.code(status).header('content-type', REGISTRY_TYPE).serializer(JSON.stringify).send(body);
}
