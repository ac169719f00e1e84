/** Rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"). */
const SIGNATURE = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
/** 2000-01-01 in Unix milliseconds: where PostgreSQL's timestamps begin. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 4_294_967_296;
const INT4_LIMIT = 2 ** 31;
const FIRST_BYTES = 256 * 1024;
/** So many buffers of at most so many bytes are kept for the rows to come: fresh memory costs more than what is written to it. */
const MAX_SPARE = 8;
const MAX_SPARE_BYTES = 4 * 1024 * 1024;
const spare: Buffer[] = [];

function bufferOf(leastBytes: number): Buffer {
  const at = spare.findIndex(({ length }) => length >= leastBytes);
  return at < 0 ? Buffer.allocUnsafeSlow(leastBytes) : spare.splice(at, 1)[0];
}

function giveBack(buffer: Buffer): void {
  if (spare.length < MAX_SPARE && buffer.length >= FIRST_BYTES && buffer.length <= MAX_SPARE_BYTES) spare.push(buffer);
}

/** A run of rows that stay together when segments are put in order. */
interface Segment {
  at: number;
  end: number;
  key: number;
  then: number;
}

export class BinaryRows {
  private bytes = bufferOf(FIRST_BYTES);
  private view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  private length = SIGNATURE.copy(this.bytes);
  private readonly segments: Segment[] = [];
  /** The bytes with segments in order, where they were not. */
  private ordered: Buffer | null = null;
  rowCount = 0;

  /**
   * Begins a run of rows whose place is given by two numbers. Rows are handed out by segment in ascending order, as an
   * index takes neighbours faster than strangers; segments of equal place keep their order.
   */
  segment(key: number, then: number): void {
    this.segments.push({ at: this.length, end: 0, key, then });
  }

  /** Begins a row of numbers and times; texts and bytes make room for themselves. */
  begin(columns: number): void {
    this.reserve(2 + columns * 12);
    this.view.setInt16(this.length, columns);
    this.length += 2;
    this.rowCount++;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = bufferOf(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    giveBack(this.bytes);
    this.bytes = larger;
    this.view = new DataView(larger.buffer, larger.byteOffset, larger.length);
  }

  int2(value: number): void {
    this.view.setInt32(this.length, 2);
    this.view.setInt16(this.length + 4, value);
    this.length += 6;
  }

  /** Throws RangeError beyond 32 bits. */
  int4(value: number): void {
    if (!(value >= -INT4_LIMIT && value < INT4_LIMIT)) throw new RangeError(`${value} does not fit into 32 bits.`);
    this.view.setInt32(this.length, 4);
    this.view.setInt32(this.length + 4, value);
    this.length += 8;
  }

  /** Whole number in ±2^63, exact in ±2^53. */
  int8(value: number): void {
    const high = Math.floor(value / TWO_32);
    if (!(high >= -INT4_LIMIT && high < INT4_LIMIT)) throw new RangeError(`${value} does not fit into 64 bits.`);
    this.view.setInt32(this.length, 8);
    this.view.setInt32(this.length + 4, high);
    this.view.setUint32(this.length + 8, value - high * TWO_32);
    this.length += 12;
  }

  float8(value: number): void {
    this.view.setInt32(this.length, 8);
    this.view.setFloat64(this.length + 4, value);
    this.length += 12;
  }

  timestamp(epochMs: number): void {
    this.int8((epochMs - POSTGRES_EPOCH_MS) * 1000);
  }

  /** Text, or null. */
  text(value: string | null): void {
    if (value === null) this.null();
    else this.raw(Buffer.from(value));
  }

  null(): void {
    this.reserve(256);
    this.view.setInt32(this.length, -1);
    this.length += 4;
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length + 256);
    this.view.setInt32(this.length, value.length);
    this.bytes.set(value, this.length + 4);
    this.length += 4 + value.length;
  }

  /** Everything written, with the trailer. */
  finish(): Buffer {
    this.reserve(2);
    this.view.setInt16(this.length, -1);
    const whole = this.bytes.subarray(0, this.length + 2);
    const { segments } = this;
    if (segments.every((segment, i) => i === 0 || byPlace(segments[i - 1], segment) <= 0)) return whole;
    this.ordered ??= bufferOf(whole.length);
    const ordered = this.ordered.subarray(0, whole.length);
    let length = whole.copy(ordered, 0, 0, segments[0].at);
    for (let i = 0; i < segments.length; i++) segments[i].end = segments[i + 1]?.at ?? this.length;
    for (const { at, end } of [...segments].sort(byPlace)) length += whole.copy(ordered, length, at, end);
    ordered.writeInt16BE(-1, length);
    return ordered;
  }

  /** Lets go of the memory: nothing may be written, or read of what finish() gave, from here on. */
  release(): void {
    giveBack(this.bytes);
    if (this.ordered !== null) giveBack(this.ordered);
    this.bytes = Buffer.alloc(0);
    this.view = new DataView(new ArrayBuffer(0));
    this.ordered = null;
  }
}

function byPlace(a: Segment, b: Segment): number {
  return a.key - b.key || a.then - b.then;
}
