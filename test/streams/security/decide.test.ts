import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Action, decide, RESOURCE_KINDS, ROLES, type Role, type Subject } from '../../../streams/security/decide.ts';

const subject = (role: Role, scope: Partial<Subject> = {}): Subject => ({ tokenId: 't', role, pilots: null, sites: null, ...scope });
const HERE = { siteId: 's1', pilotId: 'p1' };
const THERE = { siteId: 's2', pilotId: 'p2' };

describe('decide', () => {
  it('lets nobody without a token do more than read what is open', () => {
    const open = RESOURCE_KINDS.filter((kind) => decide(null, 'read', { kind }).allow);
    assert.deepEqual(open, ['liveness', 'documentation']);
  });

  it('denies whatever it does not know', () => {
    for (const role of ROLES) {
      assert.equal(decide(subject(role), 'write' as Action, { kind: 'sites' }).allow, false);
      assert.equal(decide(subject(role), 'read', { kind: 'secrets' as 'sites' }).allow, false);
    }
    assert.equal(decide(subject('root' as Role), 'read', { kind: 'sites' }).allow, false);
    assert.equal(decide(subject('constructor' as Role), 'read', { kind: 'sites' }).allow, false);
  });

  it('keeps every role to the sites and pilots of its scope, both of them', () => {
    for (const role of ROLES.filter((one) => one !== 'monitor')) {
      const read = (scope: Partial<Subject>, site = HERE) => decide(subject(role, scope), 'read', { kind: 'series', site }).allow;
      assert.equal(read({ sites: ['s1'] }), true, role);
      assert.equal(read({ sites: ['s1'] }, THERE), false, role);
      assert.equal(read({ sites: ['s1', 's2'], pilots: ['p2'] }), false, role);
      assert.equal(read({ sites: ['s1', 's2'], pilots: ['p2'] }, THERE), true, role);
      assert.equal(read({ sites: [] }), false, role);
    }
  });

  it('shows a resident without sites nothing', () => {
    assert.equal(decide(subject('resident'), 'read', { kind: 'sites' }).allow, false);
    assert.equal(decide(subject('resident'), 'read', { kind: 'sites', site: HERE }).allow, false);
  });

  it('keeps raw bytes and the workings of the service from residents and aggregators', () => {
    for (const role of ['resident', 'aggregator'] as const)
      for (const kind of ['rejected', 'metrics'] as const)
        assert.equal(decide(subject(role, { sites: ['s1'] }), 'read', { kind }).allow, false);
  });

  it('gives a reason that names no site', () => {
    const { reason } = decide(subject('resident', { sites: ['s1'] }), 'read', { kind: 'series', site: THERE });
    assert.doesNotMatch(reason, /s1|s2/);
    assert.ok(reason.length > 10);
  });
});
