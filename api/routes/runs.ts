/** Runs: which code and settings made the events that carry a run's id. */
import { Type } from 'typebox';
import { listRuns, type RunRow } from '../../projections/queries/list-runs.ts';
import { IflexError } from '../../streams/errors.ts';
import type { Pool } from '../../streams/postgres.ts';
import { cursorOf, Id, placeOf, TimeMs } from '../cursor.ts';
import { sendPage } from '../representation.ts';
import type { Api } from '../server.ts';
import { answers, columnsOf, Name, pageAnswers, parameters, Query, RunRowShape } from '../shapes.ts';
import { rendered } from '../times.ts';

const access = { action: 'read', kind: 'runs' } as const;
const tags = ['Runs'];
const description =
  'Every derived event names its run in its headers. A run is what all tasks of a namespace did under one version of the code ' +
  'and one configuration; a restart of the same is the same run.';
const RunShape = Type.Object({
  ...RunRowShape.properties,
  models: Type.Array(Type.Object({ model: Type.String(), sha256: Type.String({ description: 'Of its weights' }) }), {
    description: 'Trained models that it began with',
  }),
  schemas: Type.Array(Type.Object({ id: Type.Integer({ description: 'In the registry' }), fingerprint: Type.String() }), {
    description: 'What every schema id meant to it',
  }),
});
/** When the last run of the page before began, and its id. */
const After = Type.Tuple([TimeMs, Id]);

export function registerRuns(app: Api, pool: Pool): void {
  app.get(
    '/v1/runs',
    {
      config: { access },
      schema: {
        tags,
        summary: 'Runs, the latest first',
        description,
        querystring: Query({ limit: parameters.limit, cursor: parameters.cursor, format: parameters.format }),
        response: pageAnswers({}, RunRowShape),
      },
    },
    async (request, reply) => {
      const { limit = 0 } = request.query;
      const place = placeOf(request, After);
      const after = place && { startedMs: place[0], runId: place[1] };
      const found = await listRuns(pool, { runId: null, after, limit: limit + 1 });
      const rows = found.slice(0, limit);
      const last = rows.at(-1);
      const nextCursor = last && found.length > limit ? cursorOf(request, [last.startedMs, last.runId]) : null;
      return sendPage(request, reply, { about: {}, rows: rows.map(runAnswer), nextCursor, columns: columnsOf(RunRowShape) });
    },
  );
  app.get(
    '/v1/runs/:runId',
    {
      config: { access },
      schema: {
        tags,
        summary: 'One run, with its models and schemas',
        description,
        params: Type.Object({ runId: Name('Id of the run') }),
        querystring: Query({}),
        response: answers(RunShape),
      },
    },
    async ({ params: { runId } }) => {
      const [run] = await listRuns(pool, { runId, after: null, limit: 1 });
      if (!run) throw new IflexError('NOT_FOUND', `There is no run ${runId}.`);
      return { ...runAnswer(run), models: run.models, schemas: run.schemas };
    },
  );
}

function runAnswer(run: RunRow) {
  const { runId, namespace, note, codeVersion, configurationHash, processors, seed, tasks } = run;
  return {
    runId,
    namespace,
    mode: note?.startsWith('what-if replay of ') ? ('what-if' as const) : ('live' as const),
    note,
    codeVersion,
    configurationHash,
    processors,
    seed,
    started: rendered(run.startedMs, 'UTC'),
    lastStarted: rendered(run.lastStartedMs, 'UTC'),
    knownAt: rendered(run.knownAtMs, 'UTC'),
    tasks,
  };
}
