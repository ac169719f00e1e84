/** The API: builds a server and never listens, so that tests ask it in process. */
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import { findSite } from '../projections/queries/find-site.ts';
import { registeredSchemas } from '../projections/queries/registered-schemas.ts';
import { IflexError } from '../streams/errors.ts';
import { MAX_REQUESTS_UNDER_WAY, MAX_URL_BYTES } from '../streams/limits.ts';
import type { Pool } from '../streams/postgres.ts';
import type { Subject } from '../streams/security/decide.ts';
import { guardRoutes } from './access.ts';
import { answerUnreadable, refuseTunnel, sendProblem } from './problems.ts';
import { tagAnswers } from './representation.ts';
import { registerDocumentation } from './routes/documentation.ts';
import { registerForecasts } from './routes/forecasts.ts';
import { registerRegistry, type Schemas } from './routes/registry.ts';
import { registerRuns } from './routes/runs.ts';
import { registerSeries } from './routes/series.ts';
import { registerService, type Service } from './routes/service.ts';
import { registerSetAside } from './routes/set-aside.ts';
import { registerLatest, registerSites } from './routes/sites.ts';

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface ApiDeps {
  /** Connections of the namespace, for reading only. */
  pool: Pool;
  /** What a registry of others holds; by default the schemas are those of the engine. */
  schemas?: Schemas;
  subjectOf(token: string): Promise<Subject | null>;
  service: Service;
  version: string;
  /** Where failures of ours are logged; false: nowhere. */
  logger: { level: string; stream?: { write(line: string): void } } | false;
}

const BODY_BYTES = 1_024;
const REQUEST_TIMEOUT_MS = 30_000;

/** Builds the server with all routes; ready to `inject` or `listen`. */
export async function buildServer(deps: ApiDeps): Promise<Api> {
  const app = Fastify({
    logger: deps.logger,
    bodyLimit: BODY_BYTES,
    // Ids are bounded by their length in characters, not as they are written in an address.
    routerOptions: { maxParamLength: MAX_URL_BYTES },
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    frameworkErrors: sendProblem,
    clientErrorHandler: answerUnreadable,
    // The server of Node would refuse it without a word; `boundRequests` says what is missing.
    http: { requireHostHeader: false },
    // Parameters that nobody knows are refused, not left out; all that is wrong is told at once.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true } },
  }).withTypeProvider<TypeBoxTypeProvider>() as Api;
  app.server.on('connect', refuseTunnel);
  // An expectation that nobody knows is none (RFC 9110, 10.1.1); Node would refuse it without a word.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => sendProblem(new IflexError('NOT_FOUND', 'There is nothing at this address.'), request, reply));
  boundRequests(app);
  refuseInfinite(app);
  await app.register(swagger, { openapi: openapi(deps.version) as object });
  guardRoutes(app, { subjectOf: deps.subjectOf, findSite: (siteId) => findSite(deps.pool, siteId) });
  measure(app, deps.service);
  await app.register(async (scope) => {
    tagAnswers(scope);
    registerSites(scope as Api, deps.pool);
    registerLatest(scope as Api, deps.pool);
    registerSeries(scope as Api, deps.pool);
    registerForecasts(scope as Api, deps.pool);
    registerSetAside(scope as Api, deps.pool);
    registerRuns(scope as Api, deps.pool);
  });
  await app.register(async (scope) => {
    tagAnswers(scope);
    registerRegistry(scope as Api, deps.schemas ?? (() => registeredSchemas(deps.pool)));
  });
  await app.register(async (scope) => registerService(scope as Api, deps.pool, deps.service));
  await app.register(async (scope) => registerDocumentation(scope as Api));
  await app.ready();
  return app;
}

/** A NUL in the address: no text of the database holds one. */
const NUL = /%00/;

/** No queue grows without end: what is too long or too much is refused at once, before anybody looks anything up. */
function boundRequests(app: FastifyInstance): void {
  let underWay = 0;
  app.addHook('onRequest', async (request, reply) => {
    underWay++;
    reply.raw.once('close', () => {
      underWay--;
    });
    if (underWay > MAX_REQUESTS_UNDER_WAY) throw new IflexError('OVERLOADED', 'Too many requests are under way. Try again soon.');
    if (request.url.length > MAX_URL_BYTES)
      throw new IflexError('REQUEST_TOO_LARGE', `An address has at most ${MAX_URL_BYTES} characters.`);
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new IflexError('REQUEST_INVALID', 'The request has no Host header.');
    if (NUL.test(request.url)) throw new IflexError('REQUEST_INVALID', 'The address contains a NUL character (%00).');
    reply.header('x-content-type-options', 'nosniff');
  });
}

/** "1e400" is read as a number, but as an infinite one, which passes every bound of a schema. */
function refuseInfinite(app: FastifyInstance): void {
  app.addHook('preHandler', async ({ params, query }) => {
    for (const [name, value] of Object.entries({ ...(params as object), ...(query as object) }))
      if (typeof value === 'number' && !Number.isFinite(value))
        throw new IflexError('REQUEST_INVALID', `${name}: is too large a number.`, {
          errors: [{ in: name, detail: 'is too large a number' }],
        });
  });
}

/** By route, never by address: addresses are without end, and name sites. */
function measure(app: FastifyInstance, service: Service): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    service.metrics.observe({ method: request.method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
  });
}

function openapi(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'iflex API',
      version,
      description:
        'Sites, aligned series, forecasts, and what could not be used. Import is positive. Every route but the documentation ' +
        'and the health checks needs a token: `iflex token new --role operator --expires 30d`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: ['Sites', 'Series', 'Forecasts', 'Set aside', 'Runs', 'Schemas', 'Service', 'Documentation'].map((name) => ({ name })),
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
  };
}
