import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BinaryRows } from '../../projections/binary-rows.ts';

/** Many rows in segments that are not in order, so that buffers grow and rows are laid out anew. */
function filled(count: number, value: number): BinaryRows {
  const rows = new BinaryRows();
  for (let i = 0; i < count; i++) {
    rows.segment(count - i, 0);
    rows.begin(2);
    rows.int4(i);
    rows.float8(value);
  }
  return rows;
}

describe('rows for COPY', () => {
  it('are the same in memory that other rows have used before', () => {
    const fresh = Buffer.from(filled(40_000, 1).finish());
    for (let i = 0; i < 3; i++) {
      const other = filled(60_000, 2);
      other.finish();
      other.release();
      const rows = filled(40_000, 1);
      assert.ok(rows.finish().equals(fresh));
      // Asked once more, as where a COPY failed and the rows go another way.
      assert.ok(rows.finish().equals(fresh));
      rows.release();
    }
  });

  it('never share their memory while they are in use', () => {
    filled(40_000, 3).release();
    const [a, b] = [filled(40_000, 1), filled(40_000, 2)];
    const [bytesA, bytesB] = [a.finish(), b.finish()];
    assert.ok(bytesA.equals(filled(40_000, 1).finish()));
    assert.ok(bytesB.equals(filled(40_000, 2).finish()));
  });

  it('cannot be written any more once they are let go', () => {
    const rows = filled(1, 1);
    rows.release();
    assert.throws(() => rows.int4(1), RangeError);
  });
});
