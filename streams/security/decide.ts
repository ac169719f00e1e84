/**
 * The one place that decides who may do what. Pure: the same subject, action and resource always give the same answer.
 * Whatever is not granted here is denied.
 */

export const ROLES = ['operator', 'data-scientist', 'aggregator', 'resident', 'dashboard', 'monitor'] as const;
export type Role = (typeof ROLES)[number];

/** What routes read. A site's own resources are decided with the site; the others concern the service as a whole. */
export const RESOURCE_KINDS = [
  'liveness',
  'documentation',
  'schemas',
  'metrics',
  'sites',
  'series',
  'forecasts',
  'notices',
  'rejected',
  'runs',
] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** Further actions come with the routes that need them. */
export type Action = 'read';

/** Which sites a subject may see. Null: no restriction; where both are given, both must hold. */
export interface Scope {
  pilots: readonly string[] | null;
  sites: readonly string[] | null;
}

/** Who asks, as proven by a token. */
export interface Subject extends Scope {
  tokenId: string;
  role: Role;
}

export interface SiteIdentity {
  siteId: string;
  pilotId: string;
}

/** `site` where the resource belongs to one site; without it the question is about the kind, and lists are filtered by the scope. */
export interface Resource {
  kind: ResourceKind;
  site?: SiteIdentity;
}

export interface Decision {
  allow: boolean;
  /** For the log and for people; never names a site that the subject may not see. */
  reason: string;
}

/** Open to everybody: says nothing about anybody. */
const PUBLIC: readonly ResourceKind[] = ['liveness', 'documentation'];

const READABLE: Record<Role, readonly ResourceKind[]> = {
  operator: ['schemas', 'metrics', 'sites', 'series', 'forecasts', 'notices', 'rejected', 'runs'],
  'data-scientist': ['schemas', 'sites', 'series', 'forecasts', 'notices', 'rejected', 'runs'],
  aggregator: ['schemas', 'sites', 'series', 'forecasts'],
  resident: ['sites', 'series', 'forecasts', 'notices'],
  dashboard: ['metrics', 'sites', 'series', 'forecasts', 'notices'],
  monitor: ['metrics'],
};

/** Whether the subject (null: nobody has proven who asks) may do this. */
export function decide(subject: Subject | null, action: Action, resource: Resource): Decision {
  if (action !== 'read') return { allow: false, reason: `the action ${String(action)} is not known` };
  if (PUBLIC.includes(resource.kind)) return { allow: true, reason: 'open to everybody' };
  if (subject === null) return { allow: false, reason: 'a token is needed' };
  if (!Object.hasOwn(READABLE, subject.role) || !READABLE[subject.role].includes(resource.kind))
    return { allow: false, reason: `the role ${subject.role} may not read ${resource.kind}` };
  // A resident without a list of sites would see the whole town.
  if (subject.role === 'resident' && subject.sites === null) return { allow: false, reason: 'a resident needs a list of sites' };
  if (resource.site && !seesSite(subject, resource.site)) return { allow: false, reason: 'the site is outside of the scope of the token' };
  return { allow: true, reason: `the role ${subject.role} may read ${resource.kind}` };
}

/** Whether the site is inside the scope. Queries say the same in SQL (projections/queries/scope.ts). */
function seesSite({ pilots, sites }: Scope, { siteId, pilotId }: SiteIdentity): boolean {
  return (pilots === null || pilots.includes(pilotId)) && (sites === null || sites.includes(siteId));
}
