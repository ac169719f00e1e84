import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversionOf, converted, UNITS } from '../../replay/import/units.ts';
import type { PointKind } from '../../schemas/types.ts';

const canonical = (value: number, unit: string, kind: PointKind, calorific?: number) =>
  converted(value, conversionOf(unit, kind, calorific)!);

test('every unit becomes the canonical one of its kind', () => {
  assert.equal(canonical(4.216, 'kW', 'MEAN_POWER'), 4216);
  assert.equal(canonical(0.0712, 'MW', 'INSTANT_POWER'), 71_200);
  assert.equal(canonical(3, 'W', 'MEAN_POWER'), 3);
  assert.equal(canonical(0.219, 'kWh', 'INTERVAL_ENERGY'), 219_000);
  assert.equal(canonical(1.5, 'MWh', 'REGISTER'), 1_500_000_000);
  assert.equal(canonical(17, 'Wh', 'INTERVAL_ENERGY'), 17_000);
  assert.equal(canonical(17, 'mWh', 'INTERVAL_ENERGY'), 17);
  assert.equal(canonical(3_600_000, 'J', 'INTERVAL_ENERGY'), 1_000_000);
  assert.equal(canonical(3_600, 'kJ', 'INTERVAL_ENERGY'), 1_000_000);
  assert.equal(canonical(3.6, 'MJ', 'REGISTER'), 1_000_000);
  assert.equal(canonical(0.0036, 'GJ', 'REGISTER'), 1_000_000);
  assert.equal(canonical(2, 'm³', 'REGISTER', 10.5), 21_000_000);
  assert.equal(canonical(2, 'm3', 'INTERVAL_ENERGY', 10.5), 21_000_000);
  assert.equal(canonical(21.5, '°C', 'TEMPERATURE'), 21.5);
  assert.ok(Math.abs(canonical(212, '°F', 'TEMPERATURE') - 100) < 1e-9);
  assert.ok(Math.abs(canonical(293.15, 'K', 'TEMPERATURE') - 20) < 1e-9);
  assert.equal(canonical(3, 'code', 'STATE'), 3);
});

test('a unit that does not fit its kind is refused, and milli is not mega', () => {
  const refused: [string, PointKind][] = [
    ['kWh', 'MEAN_POWER'],
    ['kW', 'INTERVAL_ENERGY'],
    ['m3', 'REGISTER'],
    ['°C', 'STATE'],
    ['kwh', 'INTERVAL_ENERGY'],
    ['code', 'TEMPERATURE'],
    ['toString', 'MEAN_POWER'],
  ];
  for (const [unit, kind] of refused) assert.equal(conversionOf(unit, kind), undefined, unit);
  assert.equal(canonical(1, 'MWh', 'REGISTER') / canonical(1, 'mWh', 'REGISTER'), 1e9);
  for (const unit of UNITS)
    assert.ok(
      (['MEAN_POWER', 'INTERVAL_ENERGY', 'TEMPERATURE', 'STATE'] as const).some((kind) => conversionOf(unit, kind, 10)),
      unit,
    );
});
