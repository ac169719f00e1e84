/**
 * Who may reach which route. Every route declares what it reads; one that does not cannot be registered. The decision is
 * `decide` of streams/security; here is only where subject and resource come from.
 */
import { METHODS } from 'node:http';
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import type { SiteRow } from '../projections/queries/find-site.ts';
import { IflexError } from '../streams/errors.ts';
import { type Action, decide, RESOURCE_KINDS, type ResourceKind, type Subject } from '../streams/security/decide.ts';

export interface Access {
  action: Action;
  kind: ResourceKind;
}

export interface GuardedRoute {
  method: string;
  url: string;
  access: Access;
  /** Left out of the OpenAPI document. */
  hidden: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
    /** The address exists, but not with this method: those that it knows, as the Allow header says them. */
    refusesMethod?: { allow: string };
  }
  interface FastifyInstance {
    /** Every route that was registered, with what it reads. */
    guardedRoutes: GuardedRoute[];
    /** For plugins whose routes cannot declare it themselves. */
    accessOfPlugin?: Access;
  }
  interface FastifyRequest {
    subject: Subject | null;
    /** The site that the address names; the subject may see it. */
    site: SiteRow | null;
  }
}

export interface AccessDeps {
  /** Who the token proves, or null. */
  subjectOf(token: string): Promise<Subject | null>;
  findSite(siteId: string): Promise<SiteRow | null>;
}

/** All that can be read as a method but for reading; CONNECT never gets to a route. */
export const OTHER_METHODS = METHODS.filter((method) => !['GET', 'HEAD', 'CONNECT'].includes(method));

/** Puts the guard before every route that is registered afterwards. */
export function guardRoutes(app: FastifyInstance, deps: AccessDeps): void {
  const routes: GuardedRoute[] = [];
  for (const method of OTHER_METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  app.decorate('guardedRoutes', routes);
  app.decorateRequest('subject', null);
  app.decorateRequest('site', null);
  app.addHook('onRoute', function (this: FastifyInstance, route) {
    const access = requireAccess(route, this.accessOfPlugin);
    if (route.method !== 'GET') return;
    routes.push({ method: route.method, url: route.url, access, hidden: (route.schema as { hide?: boolean } | undefined)?.hide === true });
    refuseOtherMethods(this, route);
  });
  app.addHook('onRequest', async (request) => {
    if (request.is404) return;
    await admit(request, deps);
    const { refusesMethod } = request.routeOptions.config;
    if (refusesMethod)
      throw new IflexError(
        'METHOD_NOT_ALLOWED',
        `This address knows ${refusesMethod.allow || 'no method'}, not ${request.method}.`,
        refusesMethod,
      );
  });
}

/** Throws at start, not at the first request. */
function requireAccess(route: RouteOptions, ofPlugin: Access | undefined): Access {
  route.config = { ...route.config, access: route.config?.access ?? ofPlugin };
  const { access } = route.config as { access?: Access };
  if (access?.action !== 'read' || !RESOURCE_KINDS.includes(access.kind))
    throw new IflexError('CONFIG_INVALID', `The route ${route.method} ${route.url} does not declare what it reads (config.access).`);
  return access;
}

function refuseOtherMethods(app: FastifyInstance, route: RouteOptions & { routePath?: string }): void {
  app.route({
    method: OTHER_METHODS,
    url: route.routePath ?? route.url,
    schema: { hide: true } as object,
    config: { access: (route.config as { access?: Access }).access, refusesMethod: { allow: 'GET, HEAD' } },
    // The guard has answered before.
    handler: (_, reply) => reply.code(405).send(),
  });
}

async function admit(request: FastifyRequest, deps: AccessDeps): Promise<void> {
  const { action, kind } = request.routeOptions.config.access!;
  const token = tokenOf(request.headers.authorization);
  const ofRole = decide((request.subject = token === null ? null : await deps.subjectOf(token)), action, { kind });
  if (!ofRole.allow) {
    if (request.subject !== null) throw new IflexError('FORBIDDEN', `${ofRole.reason}.`);
    throw new IflexError('UNAUTHENTICATED', token === null ? 'Send a token: "Authorization: Bearer TOKEN".' : 'The token does not count.');
  }
  const { siteId } = request.params as { siteId?: string };
  if (siteId === undefined) return;
  request.site = await deps.findSite(siteId);
  // A site that may not be seen looks like one that does not exist.
  if (request.site === null || !decide(request.subject, action, { kind, site: request.site }).allow)
    throw new IflexError('NOT_FOUND', `There is no site ${siteId}.`);
}

/** The token of "Bearer TOKEN", or the password of "Basic …", which is all that some registry clients can send. */
function tokenOf(header: string | undefined): string | null {
  const [scheme = '', credentials = ''] = (header ?? '').split(' ');
  if (/^bearer$/i.test(scheme)) return credentials;
  if (!/^basic$/i.test(scheme)) return null;
  const decoded = Buffer.from(credentials, 'base64').toString();
  return decoded.slice(decoded.indexOf(':') + 1);
}
