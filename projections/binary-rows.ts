/** Rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"). */
const SIGNATURE = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
/** 2000-01-01 in Unix milliseconds: where PostgreSQL's timestamps begin. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 4_294_967_296;

export class BinaryRows {
  private bytes = Buffer.allocUnsafe(256 * 1024);
  private length = SIGNATURE.copy(this.bytes);
  rowCount = 0;

  begin(columns: number): void {
    this.reserve(2 + columns * 12);
    this.bytes.writeInt16BE(columns, this.length);
    this.length += 2;
    this.rowCount++;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  int2(value: number): void {
    this.length = this.bytes.writeInt16BE(value, this.bytes.writeInt32BE(2, this.length));
  }

  int4(value: number): void {
    this.length = this.bytes.writeInt32BE(value, this.bytes.writeInt32BE(4, this.length));
  }

  /** Whole number in ±2^53. */
  int8(value: number): void {
    const high = Math.floor(value / TWO_32);
    const at = this.bytes.writeInt32BE(high, this.bytes.writeInt32BE(8, this.length));
    this.length = this.bytes.writeUInt32BE(value - high * TWO_32, at);
  }

  float8(value: number): void {
    this.length = this.bytes.writeDoubleBE(value, this.bytes.writeInt32BE(8, this.length));
  }

  timestamp(epochMs: number): void {
    this.int8((epochMs - POSTGRES_EPOCH_MS) * 1000);
  }

  /** Text, or null. */
  text(value: string | null): void {
    if (value === null) {
      this.reserve(4);
      this.length = this.bytes.writeInt32BE(-1, this.length);
      return;
    }
    this.raw(Buffer.from(value));
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length + 256);
    const at = this.bytes.writeInt32BE(value.length, this.length);
    this.bytes.set(value, at);
    this.length = at + value.length;
  }

  /** Everything written, with the trailer. */
  finish(): Buffer {
    this.reserve(2);
    return this.bytes.subarray(0, this.bytes.writeInt16BE(-1, this.length));
  }
}
