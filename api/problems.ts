/** Errors as the world sees them: problem+json (RFC 9457), one documented code each. */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_CODES, type ErrorCode, IflexError } from '../streams/errors.ts';
import { databaseError } from '../streams/postgres.ts';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** HTTP status by code; what is not listed is a failure of ours. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  REQUEST_INVALID: 400,
  CURSOR_INVALID: 400,
  SPAN_TOO_LONG: 400,
  UNIT_UNKNOWN: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TOO_LARGE: 413,
  QUERY_TOO_SLOW: 503,
  DATABASE_UNREACHABLE: 503,
  REGISTRY_UNREACHABLE: 503,
  OVERLOADED: 503,
  NOT_READY: 503,
};
const RETRY_AFTER_SECONDS = 5;
/** So many wrong parts of a request are told at once. */
const MAX_ERRORS_TOLD = 10;

export interface Problem {
  /** Address of the code's documentation, relative to the server. */
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: ErrorCode;
  requestId: string;
  /** What is wrong with which part of the request. */
  errors?: { in: string; detail: string }[];
}

export const statusOf = (code: ErrorCode): number => STATUS[code] ?? 500;

/** An error as one of ours: of the web framework, the database, or already ours. */
export function asIflexError(error: unknown): IflexError {
  if (error instanceof IflexError) return error;
  const { message, statusCode = 500, validation, validationContext } = error as FastifyError;
  if (validation) {
    const errors = validation.slice(0, MAX_ERRORS_TOLD).map((wrong) => ({
      in: [validationContext, ...wrong.instancePath.split('/').filter(Boolean)].join('.'),
      detail: detailOf(wrong),
    }));
    const more = validation.length > MAX_ERRORS_TOLD ? [`and ${validation.length - MAX_ERRORS_TOLD} more`] : [];
    const told = [...errors.map(({ in: where, detail }) => `${where}: ${detail}`), ...more];
    return new IflexError('REQUEST_INVALID', told.join('; '), { errors });
  }
  if (statusCode === 413 || statusCode === 414) return new IflexError('REQUEST_TOO_LARGE', message);
  if (statusCode >= 400 && statusCode < 500) return new IflexError('REQUEST_INVALID', message);
  return ofDatabase(error);
}

function detailOf({ message = 'is wrong', params }: NonNullable<FastifyError['validation']>[number]): string {
  if ('additionalProperty' in params) return `the parameter "${params.additionalProperty}" is not known`;
  return Array.isArray(params.allowedValues) ? `must be one of ${params.allowedValues.join(', ')}` : message;
}

/** SQLSTATE of a cancelled statement, and of a table or schema that is not there. */
const CANCELLED = '57014';
const MISSING = ['42P01', '3F000'];

function ofDatabase(error: unknown): IflexError {
  const { code = '' } = error as { code?: string };
  if (code === CANCELLED)
    return new IflexError('QUERY_TOO_SLOW', 'The database needed too long. Ask for a shorter span or a coarser resolution.');
  if (MISSING.includes(code)) return new IflexError('NOT_READY', 'The projections of this namespace are not there yet.');
  const known = databaseError(error);
  // What the connection says may name hosts and ports.
  if (known instanceof IflexError) return new IflexError(known.code, ERROR_CODES[known.code], {}, error);
  return new IflexError('INTERNAL', ERROR_CODES.INTERNAL, {}, error);
}

/** The error handler of the server. */
export function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asIflexError(thrown);
  const status = statusOf(error.code);
  if (status >= 500) request.log.error({ err: error.cause ?? error, code: error.code }, error.message);
  headersOf(error, reply);
  return reply.code(status).header('content-type', PROBLEM_TYPE).serializer(JSON.stringify).send(problemOf(error, request));
}

/** What the code says to do next, as headers. */
export function headersOf({ code, details }: IflexError, reply: FastifyReply): void {
  if (code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="iflex"');
  if (code === 'METHOD_NOT_ALLOWED') reply.header('allow', String(details.allow));
  if (statusOf(code) === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
  reply.header('cache-control', 'no-store');
}

/** What cannot be read as HTTP has no request and no reply. */
export function answerUnreadable({ code }: { code?: string }, socket: Socket): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const error =
    code === 'HPE_HEADER_OVERFLOW'
      ? new IflexError('REQUEST_TOO_LARGE', 'The headers of the request are too long.')
      : new IflexError('REQUEST_INVALID', 'This is not a request that can be read as HTTP.');
  answerOnLine(error, socket);
}

/** CONNECT asks for a tunnel, which the web framework never hears of. */
export function refuseTunnel({ url = '' }: { url?: string }, socket: Duplex): void {
  answerOnLine(new IflexError('METHOD_NOT_ALLOWED', 'This server is no proxy.'), socket, url, ['allow: GET, HEAD']);
}

/** Writes the answer as it goes over the line. */
function answerOnLine(error: IflexError, socket: Duplex, url = '', headers: readonly string[] = []): void {
  const body = JSON.stringify(problemOf(error, { url, id: randomUUID() }));
  const status = statusOf(error.code);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  // Who has gone away meanwhile needs no answer.
  socket.on('error', () => {});
  socket.end(`${[...head, 'cache-control: no-store', 'connection: close'].join('\r\n')}\r\n\r\n${body}`);
}

function problemOf(error: IflexError, request: Pick<FastifyRequest, 'url' | 'id'>): Problem {
  const problem: Problem = {
    type: `/errors/${error.code}`,
    title: ERROR_CODES[error.code],
    status: statusOf(error.code),
    // What went wrong inside is for the log.
    detail: error.code === 'INTERNAL' ? 'The log of the server says more, under the id of the request.' : error.message,
    instance: request.url.split('?')[0].slice(0, 200),
    code: error.code,
    requestId: request.id,
  };
  if (Array.isArray(error.details.errors)) problem.errors = error.details.errors as Problem['errors'];
  return problem;
}
