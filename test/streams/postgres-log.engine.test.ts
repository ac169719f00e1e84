import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { eventLogContract } from './event-log-contract.ts';

const engine = await openTestEngine();

eventLogContract('postgres-log', {
  open: (namespace, topics) => openPostgresLog({ url: engine.url, namespace, topics }),
  namespace: () => engine.namespace(),
});
