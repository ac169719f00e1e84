/** Bytes that grow, and whole numbers in them as varints (base 128, least significant group first). */

/** A number takes at most so many bytes. */
export const NUMBER_BYTES = 8;

/** Growing byte buffer. */
export class Bytes {
  bytes = Buffer.allocUnsafe(64 * 1024);
  length = 0;

  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.reserve(length + NUMBER_BYTES);
    this.length = putNumber(this.bytes, this.length, length);
    this.bytes.write(value, this.length);
    this.length += length;
  }
}

/** Writes a non-negative whole number below 2^53 as a varint; returns where the next one goes. */
export function putNumber(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7fffffff) {
    bytes[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** Writes a whole number of either sign, zigzag as Avro and Kafka do it. */
export function putSigned(bytes: Buffer, at: number, value: number): number {
  return putNumber(bytes, at, value >= 0 ? value * 2 : -value * 2 - 1);
}
