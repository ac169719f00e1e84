/** Lines of a file, gzipped or not, one bounded piece of it in memory at a time. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { IflexError } from '../../streams/errors.ts';
import { MAX_LINE_BYTES, REJECTED_BYTES_KEPT } from '../../streams/limits.ts';

const PIECE_BYTES = 256 * 1024;
const NEWLINE = 10;
const RETURN = 13;

/** A line without its end. Of an oversized one only the first bytes are there, with the hash and length of all. */
export interface Line {
  /** From 1, as editors count. */
  number: number;
  bytes: Buffer;
  oversized?: { byteLength: number; sha256: string };
}

/** What a file holds, unpacked. */
export interface Content {
  sha256: string;
  byteLength: number;
}

function unreadable(path: string, error: unknown): never {
  throw new IflexError('CONFIG_INVALID', `${path} cannot be read: ${(error as Error).message}.`, {}, error);
}

/** The file's bytes, unpacked where they begin as gzip does. */
async function openContent(path: string): Promise<Readable> {
  const head = Buffer.alloc(2);
  // It is read twice, and opening a pipe waits for its writer.
  const found = await stat(path).catch((error) => unreadable(path, error));
  if (!found.isFile()) throw new IflexError('CONFIG_INVALID', `${path} is not a regular file.`);
  const file = await open(path).catch((error) => unreadable(path, error));
  await file.read(head, 0, 2, 0).finally(() => file.close());
  const raw = createReadStream(path, { highWaterMark: PIECE_BYTES });
  if (head[0] !== 0x1f || head[1] !== 0x8b) return raw;
  const unpacked = createGunzip({ chunkSize: PIECE_BYTES });
  // Errors of either side reach the reader of `unpacked`.
  pipeline(raw, unpacked).catch(() => {});
  return unpacked;
}

/** SHA-256 and length of a file's (unpacked) content. Throws CONFIG_INVALID where it is not whole. */
export async function contentOf(path: string): Promise<Content> {
  const digest = createHash('sha256');
  let byteLength = 0;
  try {
    for await (const piece of await openContent(path)) {
      digest.update(piece);
      byteLength += piece.length;
    }
  } catch (error) {
    if (error instanceof IflexError) throw error;
    throw new IflexError('CONFIG_INVALID', `${path} cannot be read to its end: ${(error as Error).message}.`, {}, error);
  }
  return { sha256: digest.digest('hex'), byteLength };
}

/**
 * Lines in file order, many at a time; a byte-order mark and carriage returns are taken off. Throws CONFIG_INVALID
 * instead of ending where the content is another than expected: what came last may be half of what there is.
 */
export async function* linesOf(path: string, expected?: Content): AsyncGenerator<Line[]> {
  const cutter = new LineCutter();
  const digest = expected && createHash('sha256');
  let byteLength = 0;
  try {
    for await (const piece of await openContent(path)) {
      digest?.update(piece);
      byteLength += piece.length;
      yield cutter.take(piece);
    }
  } catch (error) {
    throw expected ? changed(path, error) : error;
  }
  if (expected && (byteLength !== expected.byteLength || digest!.digest('hex') !== expected.sha256)) throw changed(path);
  yield cutter.end();
}

function changed(path: string, cause?: unknown): IflexError {
  return new IflexError('CONFIG_INVALID', `${path} changed while it was read; import it again.`, {}, cause);
}

/** Cuts pieces into lines; what has no end yet waits for the next piece, bounded by MAX_LINE_BYTES. */
export class LineCutter {
  private rest: Buffer[] = [];
  private restBytes = 0;
  private number = 1;
  /** Of a line that has become too long: only its hash and first bytes are kept. */
  private oversized: { digest: ReturnType<typeof createHash>; head: Buffer; byteLength: number } | null = null;

  take(piece: Buffer): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (;;) {
      const end = piece.indexOf(NEWLINE, from);
      if (end < 0) break;
      lines.push(this.line(piece.subarray(from, end)));
      from = end + 1;
    }
    if (from < piece.length) this.keep(piece.subarray(from));
    return lines;
  }

  /** The last line, where it has no end of its own. */
  end(): Line[] {
    return this.restBytes > 0 || this.oversized ? [this.line(Buffer.alloc(0))] : [];
  }

  private keep(bytes: Buffer): void {
    if (!this.oversized && this.restBytes + bytes.length > MAX_LINE_BYTES) this.giveUp(bytes);
    else if (this.oversized) this.hashOn(bytes);
    else {
      this.rest.push(bytes);
      this.restBytes += bytes.length;
    }
  }

  private giveUp(bytes: Buffer): void {
    const all = Buffer.concat([...this.rest, bytes]);
    this.oversized = { digest: createHash('sha256'), head: Buffer.from(all.subarray(0, REJECTED_BYTES_KEPT)), byteLength: 0 };
    this.rest = [];
    this.restBytes = 0;
    this.hashOn(all);
  }

  private hashOn(bytes: Buffer): void {
    this.oversized!.digest.update(bytes);
    this.oversized!.byteLength += bytes.length;
  }

  private line(last: Buffer): Line {
    const number = this.number++;
    if (this.oversized || this.restBytes + last.length > MAX_LINE_BYTES) {
      this.keep(last);
      const { digest, head, byteLength } = this.oversized!;
      this.oversized = null;
      return { number, bytes: head, oversized: { byteLength, sha256: digest.digest('hex') } };
    }
    let bytes = this.restBytes > 0 ? Buffer.concat([...this.rest, last]) : last;
    this.rest = [];
    this.restBytes = 0;
    if (bytes[bytes.length - 1] === RETURN) bytes = bytes.subarray(0, -1);
    if (number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    return { number, bytes };
  }
}
