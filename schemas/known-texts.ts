/**
 * Texts that have come before, found by their UTF-8 bytes: a hash table with open addressing over one growing store of
 * bytes. Compares four bytes at a time, which is what makes reading an id cheaper than making a string.
 */
const LEAST_SLOTS = 2 ** 8;
const MOST_SLOTS = 2 ** 19;
/** So many slots from its own on may hold a text; after that the first one gives way. */
const PROBES = 8;

export class KnownTexts {
  private slots = LEAST_SLOTS;
  private count = 0;
  private hashes = new Int32Array(LEAST_SLOTS);
  private offsets = new Int32Array(LEAST_SLOTS);
  private lengths = new Int32Array(LEAST_SLOTS);
  private texts: (string | undefined)[] = new Array(LEAST_SLOTS).fill(undefined);
  private store = new DataView(new ArrayBuffer(4096));
  private stored = 0;

  find(view: DataView, at: number, length: number): string | undefined {
    const hash = hashOf(view, at, length);
    const mask = this.slots - 1;
    for (let probe = 0; probe < PROBES; probe++) {
      const slot = (hash + probe) & mask;
      const text = this.texts[slot];
      if (text === undefined) return undefined;
      if (this.hashes[slot] === hash && this.lengths[slot] === length && this.same(this.offsets[slot], view, at, length)) return text;
    }
    return undefined;
  }

  add(view: DataView, at: number, length: number, text: string): void {
    if (2 * this.count >= this.slots) this.makeRoom();
    if (this.stored + length > this.store.byteLength) this.enlarge(length);
    const offset = this.stored;
    for (let i = 0; i < length; i++) this.store.setUint8(offset + i, view.getUint8(at + i));
    this.stored += length;
    this.place(hashOf(view, at, length), offset, length, text);
  }

  private place(hash: number, offset: number, length: number, text: string): void {
    const mask = this.slots - 1;
    let slot = hash & mask;
    for (let probe = 0; probe < PROBES; probe++) {
      if (this.texts[(hash + probe) & mask] !== undefined) continue;
      slot = (hash + probe) & mask;
      this.count++;
      break;
    }
    this.hashes[slot] = hash;
    this.offsets[slot] = offset;
    this.lengths[slot] = length;
    this.texts[slot] = text;
  }

  /** Twice the slots, or none of the texts where there are too many: they come in again as they are read. */
  private makeRoom(): void {
    const { hashes, offsets, lengths, texts } = this;
    const grows = this.slots < MOST_SLOTS;
    if (grows) this.slots *= 2;
    else this.stored = 0;
    this.count = 0;
    this.hashes = new Int32Array(this.slots);
    this.offsets = new Int32Array(this.slots);
    this.lengths = new Int32Array(this.slots);
    this.texts = new Array(this.slots).fill(undefined);
    if (!grows) return;
    texts.forEach((text, i) => {
      if (text !== undefined) this.place(hashes[i], offsets[i], lengths[i], text);
    });
  }

  private enlarge(length: number): void {
    const larger = new Uint8Array(2 * (this.store.byteLength + length));
    larger.set(new Uint8Array(this.store.buffer));
    this.store = new DataView(larger.buffer);
  }

  private same(offset: number, view: DataView, at: number, length: number): boolean {
    const { store } = this;
    let i = 0;
    for (; i + 4 <= length; i += 4) if (store.getInt32(offset + i, true) !== view.getInt32(at + i, true)) return false;
    for (; i < length; i++) if (store.getUint8(offset + i) !== view.getUint8(at + i)) return false;
    return true;
  }
}

/** A mix of multiplications as in MurmurHash2 (Appleby), four bytes at a time. */
function hashOf(view: DataView, at: number, length: number): number {
  let hash = Math.imul(length ^ 0x811c9dc5, 0x5bd1e995);
  let i = 0;
  for (; i + 4 <= length; i += 4) hash = Math.imul(hash ^ view.getInt32(at + i, true), 0x5bd1e995) ^ (hash >>> 15);
  for (; i < length; i++) hash = Math.imul(hash ^ view.getUint8(at + i), 0x01000193);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0x5bd1e995) ^ (hash >>> 15);
}
