/**
 * Texts that have come before, found by their UTF-8 bytes. Ids come in much the same order each time, so that the text
 * which followed last time is looked at first: comparing bytes, eight at a time, is cheaper than hashing them, and far
 * cheaper than making a string. What was not guessed is found by hash, with open addressing.
 */
const LEAST_TEXTS = 2 ** 7;
const MOST_TEXTS = 2 ** 18;
/** So many slots from its own on may hold a text; after that the first one gives way. */
const PROBES = 8;

export interface KnownText {
  text: string;
  length: number;
  hash: number;
  /** Where its bytes begin in the store, in units of eight; the last unit is that which ends with the text. */
  at: number;
  /** Bytes of a text that can be told by comparing them as doubles; -1 where it cannot. */
  guessLength: number;
  /** The text that came after it last time in the same field. */
  follower: KnownText;
}

/** Stands for no text. */
const NO_TEXT = { text: '', length: -1, hash: 0, at: 0, guessLength: -1 } as KnownText;
NO_TEXT.follower = NO_TEXT;

/** Where one field of a schema is in the sequence of its texts. */
export class TextCursor {
  latest: KnownText = NO_TEXT;
}

export class KnownTexts {
  /** Bytes of all texts as doubles. */
  store = new Float64Array(512);
  private bytes = new Uint8Array(this.store.buffer);
  private stored = 0;
  private count = 0;
  private slots: KnownText[] = new Array(2 * LEAST_TEXTS).fill(NO_TEXT);

  /** The text of these bytes, or undefined where it has not been read yet. */
  find(view: DataView, at: number, length: number, cursor: TextCursor): string | undefined {
    let known = cursor.latest;
    for (let i = 0; i < 2; i++, known = known.follower) {
      if (known.guessLength !== length || !sameDoubles(this.store, known.at, view, at, length)) continue;
      cursor.latest = known;
      return known.text;
    }
    const hash = hashOf(view, at, length);
    const mask = this.slots.length - 1;
    for (let probe = 0; probe < PROBES; probe++) {
      known = this.slots[(hash + probe) & mask];
      if (known === NO_TEXT) return undefined;
      if (known.hash !== hash || known.length !== length || !this.same(known, view, at)) continue;
      follow(cursor, known);
      return known.text;
    }
    return undefined;
  }

  add(view: DataView, at: number, length: number, text: string, cursor: TextCursor): void {
    if (2 * this.count >= this.slots.length) this.makeRoom();
    const known: KnownText = { text, length, hash: hashOf(view, at, length), at: this.stored, guessLength: -1, follower: NO_TEXT };
    this.store8(view, at, length);
    if (length >= 8 && this.tellable(known)) known.guessLength = length;
    this.place(known);
    this.count++;
    follow(cursor, known);
  }

  /** Copies the bytes in units of eight, the last of which overlaps the one before. */
  private store8(view: DataView, at: number, length: number): void {
    const units = Math.max(1, Math.ceil(length / 8));
    if (this.stored + units > this.store.length) this.enlarge(units);
    for (let unit = 0; unit < units; unit++) {
      const from = Math.max(0, Math.min(8 * unit, length - 8));
      for (let i = 0; i < 8 && from + i < length; i++) this.bytes[8 * (this.stored + unit) + i] = view.getUint8(at + from + i);
    }
    this.stored += units;
  }

  /** Doubles that are equal have equal bytes, except for zeros; and what is not a number equals nothing. */
  private tellable({ at }: KnownText): boolean {
    for (let unit = at; unit < this.stored; unit++) if (this.store[unit] === 0 || Number.isNaN(this.store[unit])) return false;
    return true;
  }

  private place(known: KnownText): void {
    const mask = this.slots.length - 1;
    let slot = known.hash & mask;
    for (let probe = 0; probe < PROBES; probe++) {
      if (this.slots[(known.hash + probe) & mask] !== NO_TEXT) continue;
      slot = (known.hash + probe) & mask;
      break;
    }
    // One that gives way is no longer guessed either: its bytes go with the next clearing.
    if (this.slots[slot] !== NO_TEXT) this.slots[slot].guessLength = -1;
    this.slots[slot] = known;
  }

  /** Room for twice as many; where they are too many, none is kept: they come in again as they are read. */
  private makeRoom(): void {
    const { slots } = this;
    if (this.count < MOST_TEXTS) {
      this.slots = new Array(2 * slots.length).fill(NO_TEXT);
      for (const known of slots) if (known !== NO_TEXT) this.place(known);
      return;
    }
    // Cursors may still hold texts whose bytes are written over from now on.
    for (const known of slots) known.guessLength = -1;
    this.slots = new Array(2 * LEAST_TEXTS).fill(NO_TEXT);
    this.count = this.stored = 0;
  }

  private enlarge(units: number): void {
    const larger = new Float64Array(2 * (this.store.length + units));
    larger.set(this.store);
    this.store = larger;
    this.bytes = new Uint8Array(larger.buffer);
  }

  private same({ at, length }: KnownText, view: DataView, from: number): boolean {
    for (let i = 0; i < length; i++) if (this.bytes[8 * at + placeOf(i, length)] !== view.getUint8(from + i)) return false;
    return true;
  }
}

/** Where byte i of a text stands in its units: the last unit ends with the text. */
function placeOf(i: number, length: number): number {
  const last = 8 * Math.max(0, Math.ceil(length / 8) - 1);
  return i < last ? i : last + i - Math.max(0, length - 8);
}

function follow(cursor: TextCursor, known: KnownText): void {
  if (cursor.latest !== NO_TEXT) cursor.latest.follower = known;
  cursor.latest = known;
}

/** Whether at least eight bytes are those of the store; see `tellable`. */
export function sameDoubles(store: Float64Array, at: number, view: DataView, from: number, length: number): boolean {
  let unit = at;
  for (let i = 0; i + 8 < length; i += 8) if (view.getFloat64(from + i, true) !== store[unit++]) return false;
  return view.getFloat64(from + length - 8, true) === store[unit];
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
