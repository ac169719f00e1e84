import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unitsOf } from '../../api/units.ts';

describe('units of requests', () => {
  it('are those of the kind of point', () => {
    assert.deepEqual(unitsOf('MEAN_POWER', undefined), { value: 'W', energy: 'kWh' });
    assert.deepEqual(unitsOf('REGISTER', 'MWh,kW'), { value: 'kW', energy: 'MWh' });
    assert.deepEqual(unitsOf('TEMPERATURE', 'degF'), { value: 'degF', energy: null });
    assert.deepEqual(unitsOf('STATE', undefined), { value: 'code', energy: null });
  });

  it('are refused with those that would fit', () => {
    for (const [kind, asked, fitting] of [
      ['MEAN_POWER', 'degF', 'W, kW, kWh, Wh, MWh'],
      ['TEMPERATURE', 'kW', 'degC, degF'],
      ['STATE', 'W', 'code'],
      ['REGISTER', '', 'W, kW, kWh, Wh, MWh'],
      ['REGISTER', 'kw', 'W, kW, kWh, Wh, MWh'],
      // What every object has is no unit.
      ['REGISTER', 'toString', 'W, kW, kWh, Wh, MWh'],
    ] as const)
      assert.throws(
        () => unitsOf(kind, asked),
        (error: { code: string; message: string }) => {
          assert.equal(error.code, 'UNIT_UNKNOWN');
          assert.ok(error.message.endsWith(`Its units are ${fitting}.`), error.message);
          return true;
        },
      );
  });

  it('are one for values and one for energy', () => {
    for (const asked of ['kW,W', 'kW,kW', 'Wh,kW,MWh'])
      assert.throws(() => unitsOf('REGISTER', asked), { code: 'REQUEST_INVALID', message: /one of .*, not .* and / });
    assert.throws(() => unitsOf('TEMPERATURE', 'degC,degF'), { code: 'REQUEST_INVALID' });
  });
});
