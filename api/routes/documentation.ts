/** The OpenAPI document, the reference page that shows it, and what the error codes mean. */
import reference from '@scalar/fastify-api-reference';
import { Type } from 'typebox';
import { ERRORS, type ErrorCode, IflexError } from '../../streams/errors.ts';
import { statusOf } from '../problems.ts';
import type { Api } from '../server.ts';
import { answers, CODES, Query } from '../shapes.ts';

const access = { action: 'read', kind: 'documentation' } as const;
const tags = ['Documentation'];
const CodeShape = Type.Object({ code: Type.String(), status: Type.Integer(), meaning: Type.String(), cure: Type.String() });

/** Nothing comes from anywhere else, so that the page works without a network and tells nobody that it is read. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'unsafe-inline'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
].join('; ');

/** A window of a series: three bars. */
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2a6f5e" d="M2 9h3v5H2zM6.5 2h3v12h-3zM11 6h3v8h-3z"/></svg>';

export async function registerDocumentation(app: Api): Promise<void> {
  app.get(
    '/errors',
    {
      config: { access },
      schema: { tags, summary: 'Error codes', security: [], querystring: Query({}), response: answers(Type.Array(CodeShape)) },
    },
    async () => CODES.map(documented),
  );
  app.get(
    '/errors/:code',
    {
      config: { access },
      schema: {
        tags,
        summary: 'What an error code means',
        security: [],
        params: Type.Object({ code: Type.String({ maxLength: 60 }) }),
        querystring: Query({}),
        response: answers(CodeShape),
      },
    },
    async ({ params: { code } }) => {
      if (!Object.hasOwn(ERRORS, code)) throw new IflexError('NOT_FOUND', `There is no error code ${code}.`);
      return documented(code as ErrorCode);
    },
  );
  app.get('/', { config: { access }, schema: { hide: true } }, (_, reply) => reply.redirect('/reference/'));
  // Browsers ask for it wherever the page does not name one.
  app.get('/favicon.ico', { config: { access }, schema: { hide: true } }, (_, reply) =>
    reply.header('content-type', 'image/svg+xml').header('cache-control', 'public, max-age=86400').send(ICON),
  );
  await app.register(async (scope) => {
    scope.decorate('accessOfPlugin', access);
    scope.addHook('onSend', async (_, reply, payload) => {
      reply.header('content-security-policy', POLICY);
      return payload;
    });
    await scope.register(reference, {
      routePrefix: '/reference',
      configuration: {
        pageTitle: 'iflex API',
        withDefaultFonts: false,
        hideClientButton: true,
        showDeveloperTools: 'never',
        telemetry: false,
        agent: { disabled: true },
        mcp: { disabled: true },
      } as object,
    });
  });
}

const documented = (code: ErrorCode) => ({ code, status: statusOf(code), ...ERRORS[code] });
