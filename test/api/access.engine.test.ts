/** Who reaches what: every role against every route found at run time, and households apart from each other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GuardedRoute } from '../../api/access.ts';
import { ROLES, type Role } from '../../streams/security/decide.ts';
import { newClaim, signToken } from '../../streams/security/token.ts';
import { revokeToken } from '../../streams/security/token-list.ts';
import { openFixture, SECRET } from './fixture.ts';

const { app, pipeline, access, token, get } = await openFixture();
const routes = app.guardedRoutes;

/** What each role may read, written down again: a change of the policy must be made twice, and seen. */
const MAY_READ: Record<Role | 'nobody', string[]> = {
  nobody: [],
  operator: ['schemas', 'metrics', 'sites', 'series', 'forecasts', 'notices', 'rejected', 'runs'],
  'data-scientist': ['schemas', 'sites', 'series', 'forecasts', 'notices', 'rejected', 'runs'],
  aggregator: ['schemas', 'sites', 'series', 'forecasts'],
  resident: ['sites', 'series', 'forecasts', 'notices'],
  dashboard: ['metrics', 'sites', 'series', 'forecasts', 'notices'],
  monitor: ['metrics'],
};
const OPEN = ['liveness', 'documentation'];

/** An address of the route that exists, about the site. */
function addressOf({ url }: GuardedRoute, siteId: string, pointId = 'grid'): string {
  const parts: Record<string, string> = {
    siteId,
    pointId,
    subject: 'ticks-value',
    version: '1',
    id: '1',
    code: 'NOT_FOUND',
    partition: '0',
    offset: '0',
    runId: pipeline.running.runId,
  };
  return url.replaceAll(/:(\w+)/g, (_, name) => parts[name] ?? assert.fail(`no value for :${name} of ${url}`));
}

const isGood = (status: number) => status === 200 || status === 301 || status === 302;

/** The body without what differs between any two requests. */
function comparable(body: string, ...names: string[]): string {
  let text = body.replace(/"requestId":"[^"]*"/, '');
  for (const name of names) text = text.replaceAll(name, 'NAME');
  return text;
}

describe('every role on every route', () => {
  it('covers all routes, of every kind', () => {
    assert.ok(routes.length >= 25, `${routes.length} routes`);
    assert.deepEqual([...new Set(routes.map(({ access: { kind } }) => kind))].sort(), [...OPEN, ...MAY_READ.operator].sort());
  });

  for (const role of ['nobody', ...ROLES] as const) {
    it(`is decided as written down: ${role}`, async () => {
      const as = role === 'nobody' ? null : (await token(role, role === 'resident' ? { sites: ['site-a1'] } : {})).token;
      for (const route of routes) {
        const answer = await get(addressOf(route, 'site-a1'), {}, as);
        const { kind } = route.access;
        const what = `${role} ${route.url}: ${answer.statusCode} ${answer.body.slice(0, 200)}`;
        if (OPEN.includes(kind)) assert.ok(isGood(answer.statusCode), what);
        else if (MAY_READ[role].includes(kind))
          assert.ok(isGood(answer.statusCode) || route.url === '/v1/rejected/:partition/:offset', what);
        else assert.equal(answer.statusCode, role === 'nobody' ? 401 : 403, what);
        assert.equal(
          (await app.inject({ method: 'DELETE', url: addressOf(route, 'site-a1') })).statusCode,
          OPEN.includes(kind) ? 405 : 401,
          what,
        );
      }
    });
  }
});

describe('households', () => {
  it('see nothing of each other, on any route, not even that they exist', async () => {
    const resident = (await token('resident', { sites: ['site-a2'] })).token;
    let asked = 0;
    for (const route of routes) {
      const foreign = await get(addressOf(route, 'site-a1'), {}, resident);
      assert.doesNotMatch(foreign.body.replaceAll('site-a1', route.url.includes(':siteId') ? '' : 'site-a1'), /site-a1|site-b1/, route.url);
      if (!route.url.includes(':siteId')) continue;
      asked++;
      const none = await get(addressOf(route, 'site-zz'), {}, resident);
      assert.deepEqual([foreign.statusCode, none.statusCode], [404, 404], route.url);
      assert.equal(comparable(foreign.body, 'site-a1'), comparable(none.body, 'site-zz'));
      assert.equal((await get(addressOf(route, 'site-a2'), {}, resident)).statusCode, 200, route.url);
    }
    assert.ok(asked >= 6);
  });

  it('see only their own in lists, whatever they filter by', async () => {
    const resident = (await token('resident', { sites: ['site-a2'] })).token;
    const sitesOf = async (url: string, as: string) => (await get(url, {}, as)).json().rows.map(({ siteId }: { siteId: string }) => siteId);
    assert.deepEqual(await sitesOf('/v1/sites', resident), ['site-a2']);
    assert.deepEqual(await sitesOf('/v1/sites?pilot=pilot-b', resident), []);
    assert.deepEqual(await sitesOf('/v1/notices', resident), []);
    assert.deepEqual(await sitesOf('/v1/notices?site=site-a1', resident), []);
    const neighbour = (await token('resident', { sites: ['site-a1'] })).token;
    assert.ok((await sitesOf('/v1/notices', neighbour)).length > 0);
  });

  it('cannot go on with a cursor of somebody who sees more', async () => {
    const resident = (await token('resident', { sites: ['site-a2'] })).token;
    const { nextCursor } = (await get('/v1/sites?limit=1')).json();
    const { rows } = (await get(`/v1/sites?limit=1&cursor=${nextCursor}`, {}, resident)).json();
    assert.deepEqual(
      rows.map(({ siteId }: { siteId: string }) => siteId),
      ['site-a2'],
    );
  });
});

describe('pilots', () => {
  it('are apart: sites, series and what was set aside', async () => {
    const scientist = (await token('data-scientist', { pilots: ['pilot-b'] })).token;
    const rows = async (url: string) => (await get(url, {}, scientist)).json().rows;
    assert.deepEqual(
      (await rows('/v1/sites')).map(({ siteId }: { siteId: string }) => siteId),
      ['site-b1'],
    );
    assert.equal((await get('/v1/sites/site-a1', {}, scientist)).statusCode, 404);
    assert.equal((await get('/v1/sites/site-b1/points/grid/series', {}, scientist)).statusCode, 200);
    // What was rejected of sites of the other pilot, and of no known site, is not theirs.
    assert.deepEqual(await rows('/v1/rejected'), []);
    const other = (await token('data-scientist', { pilots: ['pilot-a'] })).token;
    const theirs = (await get('/v1/rejected', {}, other)).json().rows;
    assert.deepEqual(
      theirs.map(({ siteId }: { siteId: string }) => siteId),
      ['site-a2', 'site-a1'],
    );
    const [{ partition, offset }] = theirs;
    assert.equal((await get(`/v1/rejected/${partition}/${offset}`, {}, other)).statusCode, 200);
    assert.equal((await get(`/v1/rejected/${partition}/${offset}`, {}, scientist)).statusCode, 404);
  });
});

describe('tokens', () => {
  const status = async (as: string) => (await get('/v1/sites', {}, as)).statusCode;

  it('end at once when they are revoked', async () => {
    const { token: one, claim } = await token('operator');
    assert.equal(await status(one), 200);
    await revokeToken(access, claim.tokenId);
    assert.equal(await status(one), 401);
    await revokeToken(access, claim.tokenId);
    await assert.rejects(revokeToken(access, 'none'), { code: 'NOT_FOUND' });
  });

  it('do not count where they were signed by another, are not listed, have expired, or are no tokens', async () => {
    const wish = { role: 'operator', sites: [], pilots: [], spanMs: 60_000 };
    const { claim } = await token('operator');
    assert.equal(await status(signToken(claim, Buffer.alloc(32, 8))), 401);
    assert.equal(await status(signToken(newClaim(wish, Date.now()), SECRET)), 401);
    assert.equal(await status(signToken({ ...claim, expiresAtMs: 1 }, SECRET)), 401);
    for (const text of ['', 'x', 'iflex_', `${'y'.repeat(9_000)}`]) assert.equal(await status(text), 401);
  });

  it('may come as the password of Basic, which registry clients send, and in no other way', async () => {
    const { token: one } = await token('aggregator');
    const as = (authorization: string) => app.inject({ url: '/subjects', headers: { authorization } });
    assert.equal((await as(`Basic ${Buffer.from(`anybody:${one}`).toString('base64')}`)).statusCode, 200);
    assert.equal((await as(`bearer ${one}`)).statusCode, 200);
    for (const wrong of [one, `Token ${one}`, 'Basic', 'Bearer', `Bearer ${one} x y`, ' ']) {
      const answer = await as(wrong);
      assert.equal(answer.statusCode, wrong.startsWith('Bearer iflex') ? 200 : 401, wrong);
    }
    assert.equal((await app.inject(`/subjects?token=${one}`)).statusCode, 401);
  });
});
