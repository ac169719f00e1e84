// The walls between folders, checked by dependency-cruiser: who may import whom.
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: `^${from}/` },
  to: { path: '^(schemas|streams|processors|projections|api|replay|infra|test)/', pathNot: `^(${[from, ...allowed].join('|')})/` },
});
const soleImporter = (name, files, library) => ({
  name,
  severity: 'error',
  comment: `${library} is imported in one place, so that it can be exchanged.`,
  from: { pathNot: `^(${files.join('|')}|test/)` },
  to: { path: `node_modules/(@types/)?${library}(/|$)`, dependencyTypesNot: ['type-only'] },
});
module.exports = {
  forbidden: [
    only('schemas-know-nobody', 'schemas', [], 'What happened depends on nothing.'),
    only('streams-know-schemas', 'streams', ['schemas'], 'How events move knows only what they are.'),
    only('processors-know-streams', 'processors', ['schemas', 'streams'], 'What it means knows neither tables nor requests.'),
    only('projections-know-streams', 'projections', ['schemas', 'streams'], 'Tables come from the log alone.'),
    only('api-knows-projections', 'api', ['schemas', 'streams', 'projections'], 'Requests are answered from projections.'),
    only('replay-knows-all-but-infra', 'replay', ['schemas', 'streams', 'processors', 'projections', 'api'], 'Replays run the same arrows.'),
    only('infra-knows-all-but-tests', 'infra', ['schemas', 'streams', 'processors', 'projections', 'api', 'replay'], 'Arrows are made here.'),
    soleImporter('avsc-in-the-codec', ['schemas/codec.ts'], 'avsc'),
    soleImporter('pg-in-one-place', ['streams/postgres.ts', 'infra/embedded-postgres'], 'pg'),
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
};
