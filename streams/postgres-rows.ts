/**
 * Rows in binary. `pg` asks the server for them where a query says so, but then reads each column as UTF-8 text, which
 * destroys every byte above 127. So its connection is given only the other messages, and binary rows are taken apart here.
 */
import { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';

const ROW_DESCRIPTION = 0x54; // 'T'
const DATA_ROW = 0x44; // 'D'
/** A message is its code, four bytes of length (which count themselves), and its content. */
const HEADER_BYTES = 5;
const NOTHING: Buffer = Buffer.alloc(0);

/** What we use of pg's connection; it is not among its typed interfaces, so `readBinaryRows` looks whether it is there. */
interface Connection extends EventEmitter {
  attachListeners(stream: Readable): void;
}

/** Makes a client that is not connected yet read binary rows as bytes; text rows stay with pg. */
export function readBinaryRows(client: object): void {
  const { connection } = client as { connection?: Connection };
  if (typeof connection?.attachListeners !== 'function')
    throw new Error('This version of pg has no attachListeners to read binary rows by.');
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    const others = new EventEmitter();
    attach(others as Readable);
    const splitter = new Splitter(
      (bytes) => others.emit('data', bytes),
      (fields) => connection.emit('dataRow', { name: 'dataRow', fieldCount: fields.length, fields }),
    );
    stream.on('data', (chunk: Buffer) => splitter.take(chunk));
    stream.on('end', () => others.emit('end'));
  };
}

/** Splits the server's stream into binary rows and runs of all other messages, in their order. */
export class Splitter {
  private readonly onOthers: (bytes: Buffer) => void;
  private readonly onRow: (fields: (Buffer | null)[]) => void;
  private rowsAreBinary = false;
  /** A message that arrives in pieces: its bytes so far, in a buffer of its whole length once its header is there. */
  private message = NOTHING;
  private filled = 0;

  constructor(onOthers: (bytes: Buffer) => void, onRow: (fields: (Buffer | null)[]) => void) {
    this.onOthers = onOthers;
    this.onRow = onRow;
  }

  take(chunk: Buffer): void {
    let at = this.filled > 0 ? this.complete(chunk) : 0;
    let othersFrom = at;
    while (at + HEADER_BYTES <= chunk.length) {
      const end = at + 1 + chunk.readUInt32BE(at + 1);
      if (end > chunk.length) break;
      if (chunk[at] === DATA_ROW && this.rowsAreBinary) {
        if (othersFrom < at) this.onOthers(chunk.subarray(othersFrom, at));
        this.onRow(fieldsOf(chunk, at));
        othersFrom = end;
      } else if (chunk[at] === ROW_DESCRIPTION) this.rowsAreBinary = isBinary(chunk, at);
      at = end;
    }
    if (othersFrom < at) this.onOthers(chunk.subarray(othersFrom, at));
    if (at < chunk.length) this.begin(chunk.subarray(at));
  }

  /** Takes what a message in pieces still lacks; returns how much of the chunk that was. */
  private complete(chunk: Buffer): number {
    let at = 0;
    if (this.filled < HEADER_BYTES) {
      at = Math.min(HEADER_BYTES - this.filled, chunk.length);
      this.begin(Buffer.concat([this.message.subarray(0, this.filled), chunk.subarray(0, at)]));
      if (this.filled < HEADER_BYTES) return at;
    }
    const taken = Math.min(this.message.length - this.filled, chunk.length - at);
    chunk.copy(this.message, this.filled, at, at + taken);
    this.filled += taken;
    at += taken;
    if (this.filled < this.message.length) return at;
    const { message } = this;
    this.message = NOTHING;
    this.filled = 0;
    this.take(message);
    return at;
  }

  private begin(piece: Buffer): void {
    this.message = Buffer.allocUnsafe(piece.length < HEADER_BYTES ? HEADER_BYTES : 1 + piece.readUInt32BE(1));
    piece.copy(this.message);
    this.filled = piece.length;
  }
}

/** Columns of a row, as views of the message; null where the column is null. */
function fieldsOf(bytes: Buffer, start: number): (Buffer | null)[] {
  const fields: (Buffer | null)[] = new Array(bytes.readUInt16BE(start + HEADER_BYTES));
  let at = start + HEADER_BYTES + 2;
  for (let i = 0; i < fields.length; i++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    fields[i] = length < 0 ? null : bytes.subarray(at, at + length);
    if (length > 0) at += length;
  }
  return fields;
}

/** All columns of a result have one format: pg asks for either. Per column: name, 0, and 18 bytes that end with the format. */
function isBinary(bytes: Buffer, start: number): boolean {
  if (bytes.readUInt16BE(start + HEADER_BYTES) === 0) return false;
  const nameEnd = bytes.indexOf(0, start + HEADER_BYTES + 2);
  return bytes.readUInt16BE(nameEnd + 1 + 16) === 1;
}
