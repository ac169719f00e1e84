/** Compact bytes of processor state: numbers, texts and typed arrays in order, for deltas and snapshots. */
export class StateWriter {
  private bytes = Buffer.allocUnsafe(64 * 1024);
  length = 0;

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Any finite or non-finite double. */
  double(value: number): void {
    this.reserve(8);
    this.bytes.writeDoubleLE(value, this.length);
    this.length += 8;
  }

  /** Whole number in ±2^52. */
  long(value: number): void {
    this.count(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  /** Non-negative whole number. */
  count(value: number): void {
    this.reserve(8);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.count(length);
    this.reserve(length);
    this.bytes.write(value, this.length);
    this.length += length;
  }

  /** The bytes of a typed array's range, with its item count. */
  array(values: Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array, from = 0, to = values.length): void {
    this.count(to - from);
    const size = values.BYTES_PER_ELEMENT;
    this.reserve((to - from) * size);
    this.bytes.set(new Uint8Array(values.buffer, values.byteOffset + from * size, (to - from) * size), this.length);
    this.length += (to - from) * size;
  }

  /** Leaves room for a length that `patch` fills in, so that a reader can skip what it does not know. */
  mark(): number {
    this.reserve(4);
    this.length += 4;
    return this.length;
  }

  patch(mark: number): void {
    this.bytes.writeUInt32LE(this.length - mark, mark - 4);
  }

  finish(): Buffer {
    const done = Buffer.from(this.bytes.subarray(0, this.length));
    this.length = 0;
    return done;
  }
}

export class StateReader {
  private readonly bytes: Buffer;
  position = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get done(): boolean {
    return this.position >= this.bytes.length;
  }

  double(): number {
    this.position += 8;
    return this.bytes.readDoubleLE(this.position - 8);
  }

  long(): number {
    const value = this.count();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  count(): number {
    let byte = this.bytes[this.position++];
    let value = byte & 0x7f;
    let factor = 128;
    while (byte > 0x7f) {
      byte = this.bytes[this.position++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
    }
    return value;
  }

  text(): string {
    const length = this.count();
    this.position += length;
    return this.bytes.toString('utf8', this.position - length, this.position);
  }

  /** Copies a written array into `into` from `at` on; returns the item count. */
  arrayInto(make: (count: number) => { into: Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array; at: number }): number {
    const count = this.count();
    const { into, at } = make(count);
    const size = into.BYTES_PER_ELEMENT;
    new Uint8Array(into.buffer, into.byteOffset + at * size, count * size).set(
      this.bytes.subarray(this.position, this.position + count * size),
    );
    this.position += count * size;
    return count;
  }

  length(): number {
    this.position += 4;
    return this.bytes.readUInt32LE(this.position - 4);
  }
}
