import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Splitter } from '../../streams/postgres-rows.ts';

/** A message of the server: code, length, content. */
function message(code: string, content: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(code, 'latin1');
  header.writeUInt32BE(content.length + 4, 1);
  return Buffer.concat([header, content]);
}

function description(format: 0 | 1, columns: number): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(columns);
  const column = Buffer.concat([Buffer.from('name\0', 'latin1'), Buffer.alloc(18)]);
  column.writeUInt16BE(format, column.length - 2);
  return message('T', Buffer.concat([count, ...Array.from({ length: columns }, () => column)]));
}

function row(fields: readonly (Uint8Array | null)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(fields.length);
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(field ? field.length : -1);
    return field ? [length, field] : [length];
  });
  return message('D', Buffer.concat([count, ...parts]));
}

type Sent = { others: Buffer } | { format: 0 | 1; rows: (Uint8Array | null)[][] };

const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 200, maxLength: 700 }));
const sent: fc.Arbitrary<Sent> = fc.oneof(
  bytes.map((content) => ({ others: message('C', Buffer.from(content)) })),
  fc.record({
    format: fc.constantFrom(0 as const, 1 as const),
    rows: fc.array(fc.array(fc.option(bytes), { minLength: 1, maxLength: 4 }), { maxLength: 4 }),
  }),
);

test('binary rows arrive whole, and all else passes in order, wherever the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 12 }), fc.array(fc.nat({ max: 500 }), { minLength: 1, maxLength: 40 }), (all, cuts) => {
      const stream: Buffer[] = [];
      const expected: string[] = [];
      const other = (each: Buffer) => stream.push(each) && expected.push(each.toString('hex'));
      for (const each of all) {
        if ('others' in each) other(each.others);
        else {
          other(description(each.format, each.rows[0]?.length ?? 0));
          for (const fields of each.rows) {
            if (each.format === 0 || each.rows[0].length === 0) other(row(fields));
            else {
              stream.push(row(fields));
              expected.push(fields.map((field) => (field ? Buffer.from(field).toString('hex') : 'null')).join(' '));
            }
          }
        }
      }
      const whole = Buffer.concat(stream);
      const seen: string[] = [];
      let others = '';
      const endOthers = () => others !== '' && seen.push(others) && (others = '');
      const splitter = new Splitter(
        (piece) => {
          others += piece.toString('hex');
        },
        (fields) => {
          endOthers();
          seen.push(fields.map((field) => (field ? field.toString('hex') : 'null')).join(' '));
        },
      );
      for (let at = 0, i = 0; at < whole.length; i++) {
        const cut = Math.min(whole.length, at + 1 + cuts[i % cuts.length]);
        splitter.take(whole.subarray(at, cut));
        at = cut;
      }
      endOthers();
      assert.equal(seen.join(''), expected.join(''));
    }),
    { numRuns: 300 },
  );
});
