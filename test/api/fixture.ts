/**
 * A namespace with known data, gone through the real pipeline, and the API over it. Three sites of two pilots:
 *   site-a1 (Helsinki; its clocks go back on 2025-10-26): hourly energy, temperature; a correction, a double, what is rejected
 *   site-a2 (Helsinki): a few hours;  site-b1 (Lord Howe; its clocks go forward by half an hour on 2025-10-05): quarter-hourly energy
 */
import { after } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { openApi } from '../../infra/serve-api.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import type { PointDeclared, PointReadings, ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPool } from '../../streams/postgres.ts';
import { newClaim, signToken } from '../../streams/security/token.ts';
import { createTokenList, listToken } from '../../streams/security/token-list.ts';
import { openTestEngine } from '../engine.ts';

export const SECRET = Buffer.alloc(32, 7);
const QUARTER_MS = 15 * MINUTE_MS;

export const A1 = { fromMs: Date.parse('2025-10-24T00:00:00Z'), toMs: Date.parse('2025-10-28T00:00:00Z') };
export const B1 = { fromMs: Date.parse('2025-10-03T00:00:00Z'), toMs: Date.parse('2025-10-07T00:00:00Z') };
/** This hour of a1 is first delivered with one value, and corrected 2 h later. */
export const CORRECTED = {
  startMs: Date.parse('2025-10-25T06:00:00Z'),
  first: 111_111,
  later: 222_222,
  knownAtMs: Date.parse('2025-10-25T09:00:30Z'),
};

/** Milliwatt-hours of the i-th interval: whole, not round, and never twice the same in a row. */
export const energyOf = (i: number): number => 100_000 + ((i * 7_919) % 50_021);

/** As known at the end. */
export function energyOfA1(startMs: number): number {
  return startMs === CORRECTED.startMs ? CORRECTED.later : energyOf((startMs - A1.fromMs) / HOUR_MS);
}

export const energyOfB1 = (startMs: number): number => energyOf((startMs - B1.fromMs) / QUARTER_MS);

const point = (pointId: string, kind: PointDeclared['kind'], intervalMs: number, forecast = false): PointDeclared => ({
  pointId,
  name: pointId,
  kind,
  carrier: kind === 'TEMPERATURE' ? 'NONE' : 'ELECTRICITY',
  intervalMs,
  maxHoldMs: 2 * intervalMs,
  deliveryDelayMs: 0,
  registerModulusMilliWh: null,
  registerJitterMilliWh: 0,
  mayExport: false,
  forecast,
});

function declared(siteId: string, pilotId: string, timeZone: string, points: PointDeclared[]): Fact {
  const knownAtMs = B1.fromMs - HOUR_MS;
  const value: SiteDeclared = { siteId, knownAtMs, pilotId, timeZone, kind: 'HOME', origin: 'SIMULATED', personalData: null, points };
  return { topic: 'sites', schema: 'SiteDeclared', key: siteId, value, source: 'fixture', number: 0 };
}

let deliveries = 0;

export function delivery(siteId: string, knownAtMs: number, series: Partial<PointReadings> & { pointId: string; startMs: number[] }): Fact {
  const columns: PointReadings = {
    unit: 'MILLIWATT_HOUR',
    deviceId: null,
    value: [],
    energyMilliWh: [],
    quality: Uint8Array.of(0),
    ...series,
  };
  const value: ReadingsDelivery = { siteId, knownAtMs, series: [columns] };
  return { topic: 'meter.readings', schema: 'ReadingsDelivery', key: siteId, value, source: 'fixture', number: deliveries++ };
}

function factsOf(): Fact[] {
  const facts = [
    declared('site-a1', 'pilot-a', 'Europe/Helsinki', [
      point('grid', 'INTERVAL_ENERGY', HOUR_MS, true),
      point('room', 'TEMPERATURE', HOUR_MS),
    ]),
    declared('site-a2', 'pilot-a', 'Europe/Helsinki', [point('grid', 'INTERVAL_ENERGY', HOUR_MS)]),
    declared('site-b1', 'pilot-b', 'Australia/Lord_Howe', [point('grid', 'INTERVAL_ENERGY', QUARTER_MS)]),
  ];
  for (let startMs = B1.fromMs; startMs < B1.toMs; startMs += QUARTER_MS)
    facts.push(delivery('site-b1', startMs + QUARTER_MS, { pointId: 'grid', startMs: [startMs], energyMilliWh: [energyOfB1(startMs)] }));
  for (let startMs = A1.fromMs; startMs < A1.toMs; startMs += HOUR_MS) {
    const energy = startMs === CORRECTED.startMs ? CORRECTED.first : energyOfA1(startMs);
    facts.push(delivery('site-a1', startMs + HOUR_MS, { pointId: 'grid', startMs: [startMs], energyMilliWh: [energy] }));
    facts.push(delivery('site-a1', startMs + HOUR_MS, { pointId: 'room', unit: 'DEGREE_CELSIUS', startMs: [startMs], value: [20.5] }));
  }
  for (let startMs = A1.fromMs; startMs < A1.fromMs + 6 * HOUR_MS; startMs += HOUR_MS)
    facts.push(delivery('site-a2', startMs + HOUR_MS, { pointId: 'grid', startMs: [startMs], energyMilliWh: [50_000] }));
  const { startMs, later, knownAtMs } = CORRECTED;
  facts.push(delivery('site-a1', knownAtMs, { pointId: 'grid', startMs: [startMs], energyMilliWh: [later] }));
  // The same reading again under another number is a double; an unknown point and an unknown site are rejected.
  facts.push(delivery('site-a1', knownAtMs + 1, { pointId: 'grid', startMs: [startMs], energyMilliWh: [later] }));
  facts.push(delivery('site-a1', knownAtMs + 2, { pointId: 'nothing', startMs: [startMs, HOUR_MS], energyMilliWh: [1, 2] }));
  facts.push(delivery('site-a2', knownAtMs + 3, { pointId: 'nothing', startMs: [startMs], energyMilliWh: [1] }));
  facts.push(delivery('nowhere', knownAtMs + 4, { pointId: 'grid', startMs: [startMs], energyMilliWh: [1] }));
  return facts
    .sort((a, b) => a.value.knownAtMs - b.value.knownAtMs || (a.topic < b.topic ? -1 : 1))
    .map((fact, number) => ({ ...fact, number }));
}

/** Starts everything; ends with the test file. */
export async function openFixture() {
  const engine = await openTestEngine();
  const namespace = engine.namespace();
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
  const { log, codec } = pipeline;
  await feed({
    log,
    codec,
    facts: factsOf(),
    tickMs: QUARTER_MS,
    tickSource: 'fixture',
    speed: Number.POSITIVE_INFINITY,
    settleMs: HOUR_MS,
  });
  await pipeline.drained();
  const { app, close } = await openApi({ backend: { url: engine.url }, namespace, secret: SECRET, logger: false });
  const access = await openPool(engine.url, 'test access', 1);
  await createTokenList(access);
  const made: string[] = [];
  after(async () => {
    await access.query('DELETE FROM iflex_access.token WHERE token_id = ANY ($1)', [made]);
    await close();
    await pipeline.stop();
    await access.end();
  });
  /** A listed token. */
  const token = async (role: string, scope: { sites?: string[]; pilots?: string[] } = {}) => {
    const claim = newClaim({ role, sites: scope.sites ?? [], pilots: scope.pilots ?? [], spanMs: DAY_MS }, Date.now());
    await listToken(access, claim);
    made.push(claim.tokenId);
    return { claim, token: signToken(claim, SECRET) };
  };
  const operator = (await token('operator')).token;
  /** GET as the operator, or with another token (null: without any). */
  const get = (url: string, headers: Record<string, string> = {}, as: string | null = operator) =>
    app.inject({ method: 'GET', url, headers: { ...(as === null ? {} : { authorization: `Bearer ${as}` }), ...headers } });
  return { engine, namespace, pipeline, app, access, token, get };
}
