import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassChooser } from '../../replay/import/passes.ts';
import { instantsOf } from '../../replay/import/stamps.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

const ZONE = 'Europe/Helsinki';
/** The end of summer time. */
const CHANGE_MS = Date.UTC(2025, 9, 26, 1);
const localOf = (ms: number) => ms + (ms < CHANGE_MS ? 3 : 2) * HOUR_MS;
const chosen = (locals: readonly number[]) => {
  const chooser = new PassChooser();
  return locals.map((localMs) => chooser.take(instantsOf(localMs, ZONE)));
};

test('stamps of every spacing, ascending or descending from any point, give back the instants they were made from', () => {
  for (const stepMs of [10, 15, 30, 60].map((minutes) => minutes * MINUTE_MS))
    for (let first = -8; first <= 1; first++) {
      const ascending = Array.from({ length: 400 }, (_, i) => CHANGE_MS + (first - 2) * HOUR_MS + i * stepMs);
      // The first stamp of a file may be of the hour itself: then the first pass is taken.
      if (ascending[0] >= CHANGE_MS && ascending[0] < CHANGE_MS + HOUR_MS) continue;
      assert.deepEqual(chosen(ascending.map(localOf)), ascending, `${stepMs} from ${first}`);
      const descending = ascending.map((ms) => 2 * CHANGE_MS + HOUR_MS - ms).filter((ms) => ms >= CHANGE_MS - 50 * HOUR_MS);
      if (descending[0] < CHANGE_MS + HOUR_MS) continue;
      assert.deepEqual(chosen(descending.map(localOf)), descending, `${stepMs} down from ${first}`);
    }
});

test('wrong years between any two stamps, also many one after another, change no choice', () => {
  const hours = Array.from({ length: 60 }, (_, i) => CHANGE_MS + (i - 30) * HOUR_MS);
  const years = [2030, 1971, 2019, 2038].map((year) => Date.UTC(year, 5, 1));
  for (const order of [hours, [...hours].reverse()])
    for (let at = 1; at < order.length; at++) {
      const locals = order.map(localOf);
      locals.splice(at, 0, ...years);
      const instants = chosen(locals);
      instants.splice(at, years.length);
      assert.deepEqual(instants, order, `before ${at}`);
    }
});

test('a line that is late within an ascending file leaves the second pass to the next', () => {
  const at = (hour: number, minute = 0) => Date.UTC(2025, 9, 26, hour, minute);
  const locals = [at(1), at(1, 30), at(2), at(2, 30), at(3), at(3, 30), at(2, 15), at(3), at(3, 30), at(4)];
  assert.deepEqual(
    chosen(locals).map((ms) => (ms - CHANGE_MS) / MINUTE_MS),
    [-180, -150, -120, -90, -60, -30, -105, 0, 30, 60],
  );
});
