/**
 * Cursors: opaque to clients, bound to the request that they came from. They name the last row by its key, which no
 * revision changes, and the time of knowledge that all pages show, so that pages fit together while data arrive.
 */
import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { IflexError } from '../streams/errors.ts';
import { FIRST_RENDERED_MS, LAST_RENDERED_MS } from './times.ts';

/** What a place may hold: times that can be rendered in every zone and that the database knows, and places of topics. */
export const TimeMs = Type.Integer({ minimum: FIRST_RENDERED_MS, maximum: LAST_RENDERED_MS });
export const Partition = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });
export const Offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** An id without what no text of the database holds. */
export const Id = Type.String({ pattern: '^[^\\0]*$' });

/** These may differ from page to page. */
const FREE = ['cursor', 'limit', 'format'];

/** What the cursor must have come from: path and query. */
function fingerprintOf(request: FastifyRequest): string {
  const query = Object.entries(request.query as Record<string, unknown>)
    .filter(([name]) => !FREE.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify([request.url.split('?')[0], query])).slice(0, 16);
}

export function cursorOf(request: FastifyRequest, place: unknown): string {
  return Buffer.from(JSON.stringify([fingerprintOf(request), place])).toString('base64url');
}

/** The place that the request's cursor names, null without one; throws CURSOR_INVALID. */
export function placeOf<Shape extends TSchema>(request: FastifyRequest, shape: Shape): Static<Shape> | null {
  const { cursor } = request.query as { cursor?: string };
  if (cursor === undefined) return null;
  let read: unknown;
  try {
    read = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw invalid('is malformed');
  }
  if (!Array.isArray(read) || read.length !== 2 || !Value.Check(shape, read[1])) throw invalid('is malformed');
  if (read[0] !== fingerprintOf(request)) throw invalid('belongs to a request with another address or other parameters');
  return read[1] as Static<Shape>;
}

/** For a place that has the shape, but does not lie where the request leads. */
export const strayCursor = () => invalid('names a place outside of what the request asks for');

const invalid = (what: string) =>
  new IflexError('CURSOR_INVALID', `The cursor ${what}. Repeat the first request without it, or follow nextCursor as it was given.`);
