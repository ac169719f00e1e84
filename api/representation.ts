/** How answers look: JSON or CSV by `format` or Accept, entity tags, links to the next page. */
import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { IflexError } from '../streams/errors.ts';

type Cell = string | number | boolean | null | readonly string[];
export type Row = Record<string, Cell>;

export interface Page {
  /** What the rows are about. */
  about: Record<string, unknown>;
  rows: Row[];
  nextCursor: string | null;
  /** Names of the columns in CSV, in order; `as` adds what JSON says elsewhere, such as the unit. */
  columns: readonly string[];
  as?: Record<string, string>;
}

/** Sends rows as the request wishes. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, page: Page): FastifyReply {
  const format = formatOf(request);
  reply.header('vary', 'Accept, Authorization');
  if (page.nextCursor !== null) reply.header('link', `<${nextAddress(request, page.nextCursor)}>; rel="next"`);
  if (format === 'csv') return reply.header('content-type', 'text/csv; charset=utf-8; header=present').send(csvOf(page));
  return reply
    .header('content-type', 'application/json; charset=utf-8')
    .send({ ...page.about, rows: page.rows, nextCursor: page.nextCursor });
}

function nextAddress(request: FastifyRequest, cursor: string): string {
  const query = new URLSearchParams(request.query as Record<string, string>);
  query.set('cursor', cursor);
  return `${request.url.split('?')[0]}?${query}`;
}

/** `format` where it is given, else what Accept likes best; JSON where it likes both. Throws NOT_ACCEPTABLE. */
export function formatOf(request: FastifyRequest): 'json' | 'csv' {
  const { format } = request.query as { format?: 'json' | 'csv' };
  if (format !== undefined) return format;
  // Nothing said is nothing refused.
  const accept = request.headers.accept?.trim() || '*/*';
  const json = likingOf(accept, 'application', 'json');
  const csv = likingOf(accept, 'text', 'csv');
  if (json === 0 && csv === 0) throw new IflexError('NOT_ACCEPTABLE', 'There are application/json and text/csv.');
  return csv > json ? 'csv' : 'json';
}

/** Quality value (RFC 9110) that an Accept header gives to a media type: the most specific range counts. */
function likingOf(accept: string, type: string, subtype: string): number {
  let liking = 0;
  let precision = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [media, ...parameters] = range.split(';').map((part) => part.trim());
    const fits = media === `${type}/${subtype}` ? 3 : media === `${type}/*` ? 2 : media === '*/*' ? 1 : 0;
    if (fits <= precision) continue;
    precision = fits;
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    liking = quality === undefined ? 1 : Number(quality.slice(2)) || 0;
  }
  return liking;
}

/** RFC 4180. */
function csvOf({ rows, columns, as = {} }: Page): string {
  const lines = [columns.map((column) => as[column] ?? column).join(',')];
  for (const row of rows) lines.push(columns.map((column) => fieldOf(row[column])).join(','));
  return `${lines.join('\r\n')}\r\n`;
}

function fieldOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return '';
  const text = Array.isArray(cell) ? cell.join(' ') : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Entity tags for all answers of the routes registered afterwards in this scope; 304 where the client has that one. */
export function tagAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode !== 200 || typeof payload !== 'string') return payload;
    const tag = `"${hash('sha256', payload, 'base64url').slice(0, 27)}"`;
    reply.header('etag', tag).header('cache-control', 'private, no-cache');
    const known = request.headers['if-none-match'];
    if (known === undefined || !(known === '*' || known.split(',').some((one) => one.trim().replace(/^W\//, '') === tag))) return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    return null;
  });
}
