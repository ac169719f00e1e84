/** Whether the service lives, is ready, and how it does. */
import { Type } from 'typebox';
import { listSites } from '../../projections/queries/list-sites.ts';
import { type ClockLead, leadText } from '../../streams/adapters/clock.ts';
import { IflexError } from '../../streams/errors.ts';
import { MAX_READY_LAG_MS } from '../../streams/limits.ts';
import type { Pool } from '../../streams/postgres.ts';
import type { Api } from '../server.ts';
import { answers, Query } from '../shapes.ts';

/** How far one reader of the log is behind in one topic. */
export interface Lag {
  /** "task", or the name of a projection. */
  reader: string;
  topic: string;
  partition: number;
  /** Offsets behind the end. */
  records: number;
  /** How long the oldest record that is not taken in yet has waited; 0 where there is none. */
  waitedMs: number;
}

export interface Service {
  lags(): Promise<Lag[]>;
  /** How far stream time is ahead of the clock. */
  clockLead(): Promise<ClockLead>;
  /** Where questions go to a replica: how long it has not applied what it received (ms); null where that is not known. */
  replicaLagMs?(): Promise<number | null>;
  metrics: {
    contentType: string;
    render(): Promise<string>;
    observe(request: { method: string; route: string; status: number; seconds: number }): void;
  };
}

const tags = ['Service'];
const liveness = { action: 'read', kind: 'liveness' } as const;

export function registerService(app: Api, pool: Pool, service: Service): void {
  app.get(
    '/health',
    {
      config: { access: liveness },
      schema: {
        tags,
        summary: 'Liveness',
        security: [],
        querystring: Query({}),
        response: answers(Type.Object({ status: Type.Literal('alive') })),
      },
    },
    async () => ({ status: 'alive' as const }),
  );
  app.get(
    '/ready',
    {
      config: { access: liveness },
      schema: {
        tags,
        summary:
          'Readiness: the database answers, the projections are there, nothing waits too long to be processed, and time is not ahead',
        security: [],
        querystring: Query({}),
        response: answers(
          Type.Object({
            status: Type.Literal('ready'),
            longestWaitMs: Type.Integer(),
            ticksAheadMs: Type.Integer(),
            replicaLagMs: Type.Optional(
              Type.Union([Type.Integer(), Type.Null()], {
                description:
                  'Where questions go to a replica: how long it has not applied what it received; null where it receives nothing',
              }),
            ),
          }),
        ),
      },
    },
    async () => {
      // Any projected table will do; the scope lets no row through.
      await listSites(pool, { scope: { pilots: [], sites: [] }, pilotId: null, afterSiteId: null, limit: 1 });
      const longestWaitMs = Math.max(0, ...(await service.lags()).map(({ waitedMs }) => waitedMs));
      if (longestWaitMs > MAX_READY_LAG_MS)
        throw new IflexError('NOT_READY', `The oldest event has waited ${Math.round(longestWaitMs / 1000)} s to be processed.`);
      const lead = await service.clockLead();
      if (lead.isWrong) throw new IflexError('NOT_READY', leadText(lead));
      const replica = service.replicaLagMs && { replicaLagMs: await service.replicaLagMs() };
      return { status: 'ready' as const, longestWaitMs, ticksAheadMs: lead.aheadMs, ...replica };
    },
  );
  app.get(
    '/metrics',
    {
      config: { access: { action: 'read', kind: 'metrics' } },
      schema: {
        tags,
        summary: 'Metrics for Prometheus',
        querystring: Query({}),
        response: { 200: { description: 'Text exposition format', content: { 'text/plain': { schema: Type.String() } } } },
      },
    },
    async (_, reply) => reply.header('content-type', service.metrics.contentType).send(await service.metrics.render()),
  );
}
