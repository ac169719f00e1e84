/** The files of a pilot: pilot.yaml, and one file for each site in sites/. Written by people, so in people's units. */
import Type, { type Static } from 'typebox';
import { MAX_POINTS_PER_SITE } from '../../streams/limits.ts';
import { ENERGY_PATTERN, INSTANT_PATTERN, SPAN_PATTERN } from './quantities.ts';

const closed = { additionalProperties: false };
const Pseudonym = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'a random pseudonym of letters, digits, . _ -',
});
const Span = Type.String({ pattern: SPAN_PATTERN, description: 'a span like 30 s, 15 min or 1 h' });
const Energy = Type.String({ pattern: ENERGY_PATTERN, description: 'an energy like 100000 kWh' });
const Instant = Type.String({
  pattern: INSTANT_PATTERN,
  description: 'a day like "2024-01-31", or a time with its zone like "2024-01-31T12:00:00Z"',
});
const Zone = Type.String({ minLength: 1, maxLength: 64, description: 'an IANA time zone like Europe/Helsinki' });
const Label = Type.String({ minLength: 1, maxLength: 80 });

export const PilotFile = Type.Object(
  {
    pilotId: Pseudonym,
    /** When the declaration became known; before all that is read of the pilot. */
    since: Instant,
    name: Label,
    country: Type.String({ pattern: '^[A-Z]{2}$', description: 'two capital letters as in ISO 3166, like FI' }),
    timeZone: Zone,
    language: Type.String({ pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$', description: 'a language tag like fi or pt-BR' }),
    bidZone: Type.Optional(Type.String({ pattern: '^[A-Z0-9][A-Z0-9-]{1,15}$', description: 'a market zone like FI or DE-LU' })),
  },
  closed,
);
export type PilotFile = Static<typeof PilotFile>;

export const SITE_KINDS = { home: 'HOME', 'apartment-building': 'APARTMENT_BUILDING' } as const;
export const SITE_ORIGINS = { measured: 'MEASURED', simulated: 'SIMULATED' } as const;
export const POINT_KINDS = {
  'mean-power': 'MEAN_POWER',
  'instant-power': 'INSTANT_POWER',
  'interval-energy': 'INTERVAL_ENERGY',
  register: 'REGISTER',
  temperature: 'TEMPERATURE',
  state: 'STATE',
} as const;
export const CARRIERS = { electricity: 'ELECTRICITY', 'district-heat': 'DISTRICT_HEAT', gas: 'GAS', none: 'NONE' } as const;

const nameOf = <Names extends object>(names: Names) => Type.Enum(Object.keys(names) as (keyof Names & string)[]);

const PointEntry = Type.Object(
  {
    pointId: Pseudonym,
    name: Label,
    kind: nameOf(POINT_KINDS),
    carrier: nameOf(CARRIERS),
    interval: Span,
    /** Instantaneous kinds: how long a sample holds when no next one comes; default two intervals. */
    hold: Type.Optional(Span),
    /** How late deliveries may be by agreement; default 0. */
    deliveryDelay: Type.Optional(Span),
    /** Registers: the value at which the count starts again at zero. */
    registerRange: Type.Optional(Energy),
    /** Registers: a fall by at most this is jitter; default none. */
    registerJitter: Type.Optional(Energy),
    mayExport: Type.Optional(Type.Boolean()),
    forecast: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type PointEntry = Static<typeof PointEntry>;

export const SiteFile = Type.Object(
  {
    siteId: Pseudonym,
    pilotId: Pseudonym,
    since: Instant,
    timeZone: Zone,
    kind: nameOf(SITE_KINDS),
    origin: nameOf(SITE_ORIGINS),
    points: Type.Array(PointEntry, { minItems: 1, maxItems: MAX_POINTS_PER_SITE }),
  },
  closed,
);
export type SiteFile = Static<typeof SiteFile>;
