/** What is particular to the log on PostgreSQL: locks, connections that break, versions of tables, names. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type { EventLog } from '../../streams/event-log.ts';
import { type Client, openPool, type Pool } from '../../streams/postgres.ts';
import { dropNamespace, namespaceSchema, openPostgresLog, withSearchPath } from '../../streams/postgres-log.ts';
import { TABLES_VERSION } from '../../streams/postgres-log-namespace.ts';
import { openTestEngine } from '../engine.ts';
import { ALL, CONTRACT_TOPICS, code, numbered, readAll, record, stateOf, step, texts } from './event-log-fixtures.ts';

const engine = await openTestEngine();
const admin = await openPool(engine.url, 'test of faults', 4);
after(() => admin.end());

interface Opened {
  log: EventLog;
  namespace: string;
  schema: string;
  /** Connections with the tables of the namespace in their path. */
  pool: Pool;
}

async function opened(run: (opened: Opened) => Promise<void>, url = engine.url): Promise<void> {
  const namespace = engine.namespace();
  const schema = namespaceSchema(namespace);
  const log = await openPostgresLog({ url, namespace, topics: CONTRACT_TOPICS });
  const pool = await openPool(withSearchPath(engine.url, schema), `beside ${namespace}`, 4);
  try {
    await run({ log, namespace, schema, pool });
  } finally {
    await Promise.all([log.close(), pool.end()]);
  }
}

/** Runs `during` while a transaction of our own is open in which `first` was run; then commits it. */
async function whileOpen(pool: Pool, first: (client: Client) => Promise<unknown>, during: () => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await first(client);
    await during();
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

/** Resolves once so many sessions of the log wait for a lock. */
async function untilBlocked(namespace: string, count = 1): Promise<number[]> {
  for (;;) {
    const { rows } = await admin.query("SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'", [
      `iflex log ${namespace}`,
    ]);
    if (rows.length >= count) return rows.map(({ pid }) => pid);
  }
}

const append = (topic: string, partition: number, payload: Buffer, count: number) => (client: Client) =>
  client.query("SELECT log_append($1, $2, $3, $4, $5, '{}', '{}', '{}', '{}')", [[topic], [partition], [count], [payload.length], payload]);

const lockOf = (topic: string, partition: number) => (client: Client) =>
  client.query('SELECT FROM log_partition WHERE topic = $1 AND partition = $2 FOR UPDATE', [topic, partition]);

test('a transaction is held open after its append while others commit: no reader ever skips', async () => {
  await opened(async ({ log, namespace, pool }) => {
    const at = { topic: 'facts.a', partition: 1 };
    await log.append([numbered('w', 0, at)]);
    const payload = (await pool.query('SELECT payload FROM log_batch')).rows[0].payload as Buffer;
    let second: Promise<unknown> = Promise.resolve();
    let { nextOffset } = await log.read(at, 0, ALL);
    await whileOpen(pool, append('facts.a', 1, payload, 1), async () => {
      second = log.append([numbered('w', 2, at)]);
      await untilBlocked(namespace);
      await log.append([numbered('w', 3, { ...at, partition: 2 })]);
      const look = await log.readMany(
        [
          { at, offset: nextOffset },
          { at: { ...at, partition: 2 }, offset: 0 },
        ],
        ALL,
      );
      assert.deepEqual(look[0], { records: [], nextOffset: 1 }, 'the open append is not seen, nor does the position pass it');
      assert.equal(look[1].records.length, 1);
    });
    await second;
    const seen: number[] = [];
    for (let found = true; found; ) {
      const { records, nextOffset: next } = await log.read(at, nextOffset, { maxRecords: 1, maxBytes: 1 });
      seen.push(...records.map(({ offset }) => offset));
      found = next > nextOffset;
      nextOffset = next;
    }
    assert.deepEqual(seen, [1, 2]);
  });
});

test('offsets are without gaps, and a call that fails after taking some gives them back', async () => {
  await opened(async ({ log, pool }) => {
    const at = { topic: 'narrow', partition: 0 };
    await log.append([numbered('s', 1, at), numbered('s', 2, at)]);
    await assert.rejects(
      whileOpen(pool, append('narrow', 0, Buffer.alloc(10), 5), () => Promise.reject(new Error('given up'))),
      /given up/,
    );
    await log.append([numbered('s', 1, at), numbered('s', 3, at)]);
    assert.deepEqual(
      (await readAll(log, at)).map(({ offset }) => offset),
      [0, 1, 2],
    );
  });
});

test('two processes that deliver the same source at once append each number once', async () => {
  await opened(async ({ log, namespace }) => {
    const other = await openPostgresLog({ url: engine.url, namespace, topics: CONTRACT_TOPICS });
    const lines = Array.from({ length: 120 }, (_, i) => numbered('file', i, { partition: i % 3 }));
    const deliver = async (to: EventLog, size: number) => {
      let appended = 0;
      for (let from = 0; from < lines.length; from += size) appended += (await to.append(lines.slice(from, from + size))).appended;
      return appended;
    };
    const counts = await Promise.all([deliver(log, 10), deliver(other, 15), deliver(log, 40)]);
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      lines.length,
    );
    for (const partition of [0, 1, 2])
      assert.deepEqual(
        (await readAll(log, { topic: 'facts.a', partition })).map(({ headers }) => headers.number),
        Array.from({ length: 40 }, (_, i) => i * 3 + partition),
      );
    await other.close();
  });
});

test('a zombie in the middle of its commit is waited for by who takes over, and its step counts', async () => {
  await opened(async ({ log, namespace, pool }) => {
    const zombie = await log.takeTask(2);
    const output = { topic: 'derived', partition: 2 };
    let committing: Promise<void> = Promise.resolve();
    let taking: ReturnType<EventLog['takeTask']> | undefined;
    await whileOpen(pool, lockOf('derived', 2), async () => {
      committing = zombie.commit(step({ outputs: [record(output)], positions: { 'facts.a': 3 } }));
      await untilBlocked(namespace);
      taking = log.takeTask(2);
      await untilBlocked(namespace, 2);
    });
    await committing;
    const owner = await taking!;
    assert.deepEqual([owner.state.stepNumber, owner.state.positions, stateOf(owner)], [1, { 'facts.a': 3 }, ['delta']]);
    await assert.rejects(zombie.commit(step({ outputs: [record(output)] })), code('TASK_FENCED'));
    assert.equal((await readAll(log, output)).length, 1);
  });
});

test('a commit whose session is ended in the middle leaves nothing, and says that the database went away', async () => {
  await opened(async ({ log, namespace, pool }) => {
    const task = await log.takeTask(2);
    await task.commit(step({ positions: { 'facts.a': 1 } }));
    let broken: Promise<unknown> = Promise.resolve();
    await whileOpen(pool, lockOf('derived', 2), async () => {
      const outputs = [record({ topic: 'derived', partition: 1 }), record({ topic: 'derived', partition: 2 })];
      broken = assert.rejects(
        task.commit(
          step({
            delta: Buffer.from('lost'),
            outputs,
            positions: { 'facts.a': 2 },
            snapshot: { streamTimeMs: 5, bytes: Buffer.from('lost') },
          }),
        ),
        code('DATABASE_UNREACHABLE'),
      );
      for (const pid of await untilBlocked(namespace)) await admin.query('SELECT pg_terminate_backend($1)', [pid]);
      await broken;
    });
    const owner = await log.takeTask(2);
    assert.deepEqual([owner.state.stepNumber, owner.state.positions, stateOf(owner)], [1, { 'facts.a': 1 }, ['delta']]);
    assert.deepEqual(await log.endOffsets('derived'), [0, 0, 0, 0]);
    assert.equal((await log.journal(2, 0, 10)).length, 1);
  });
});

test('an append whose session is ended in the middle is repeated by itself, where its records are numbered', async () => {
  await opened(async ({ log, namespace, pool }) => {
    const at = { topic: 'narrow', partition: 0 };
    let appending: Promise<unknown> = Promise.resolve();
    await whileOpen(pool, lockOf('narrow', 0), async () => {
      appending = log.append([numbered('s', 1, at), numbered('s', 2, at)]);
      for (const pid of await untilBlocked(namespace)) await admin.query('SELECT pg_terminate_backend($1)', [pid]);
      await untilBlocked(namespace);
    });
    assert.deepEqual(await appending, { appended: 2, redelivered: 0 });
    let refused: Promise<void> = Promise.resolve();
    await whileOpen(pool, lockOf('narrow', 0), async () => {
      refused = assert.rejects(log.append([record(at)]), code('DATABASE_UNREACHABLE'));
      for (const pid of await untilBlocked(namespace)) await admin.query('SELECT pg_terminate_backend($1)', [pid]);
      await refused;
    });
    assert.deepEqual(await texts(log, at), ['1', '2']);
  });
});

const NOTIFICATION = 0x41; // 'A'

/** Stands between client and server; can keep back the server's answers and then break the connections. */
async function proxy(): Promise<{ url: string; server: Server; muteNextAnswer: () => Promise<void>; close: () => void }> {
  const target = new URL(engine.url);
  const sockets = new Set<Socket>();
  let onAnswer: (() => void) | null = null;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}));
    client.on('data', (chunk) => upstream.write(chunk)).on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.on('data', (chunk) => {
      if (!onAnswer || chunk[0] === NOTIFICATION) return client.write(chunk);
      // The server has done what it was asked; the client never hears of it.
      const answered = onAnswer;
      onAnswer = null;
      client.destroy();
      answered();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(engine.url);
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.toString(),
    server,
    muteNextAnswer: () => new Promise((resolve) => (onAnswer = resolve)),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test('an append that was committed, but whose answer was lost, is known again', async () => {
  const between = await proxy();
  await opened(async ({ log, namespace, pool }) => {
    const at = { topic: 'narrow', partition: 0 };
    let lost: Promise<void> = Promise.resolve();
    let appending: Promise<unknown> = Promise.resolve();
    // The lock makes sure that the answer which is lost is that of the append.
    await whileOpen(pool, lockOf('narrow', 0), async () => {
      appending = log.append([numbered('s', 1, at), numbered('s', 2, at)]);
      await untilBlocked(namespace);
      lost = between.muteNextAnswer();
    });
    await lost;
    assert.deepEqual(await appending, { appended: 0, redelivered: 2 });
    assert.deepEqual(await texts(log, at), ['1', '2']);

    const task = await log.takeTask(0);
    let committing: Promise<void> = Promise.resolve();
    await whileOpen(pool, lockOf('narrow', 0), async () => {
      committing = assert.rejects(task.commit(step({ outputs: [record(at)], positions: { 'facts.a': 1 } })), code('DATABASE_UNREACHABLE'));
      await untilBlocked(namespace);
      lost = between.muteNextAnswer();
    });
    await lost;
    await committing;
    await assert.rejects(task.commit(step({ outputs: [record(at)] })), code('TASK_FENCED'), 'a handle does not commit the same step twice');
    const owner = await log.takeTask(0);
    assert.deepEqual([owner.state.stepNumber, owner.state.positions], [1, { 'facts.a': 1 }]);
    assert.equal((await readAll(log, at)).length, 3);
  }, between.url);
  between.close();
});

test('whoever waits for appends is told of them again after the listening session was ended', async () => {
  await opened(async ({ log, schema }) => {
    const listeners = async () =>
      (await admin.query('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [`iflex listen ${schema}`])).rows.map(
        ({ pid }) => pid as number,
      );
    const [before] = await listeners();
    const longMs = 600_000;
    const woken = log.waitForAppend(longMs);
    await admin.query('SELECT pg_terminate_backend($1)', [before]);
    await woken;
    const [now] = await listeners();
    assert.notEqual(now, before);
    const waiting = log.waitForAppend(longMs);
    await log.append([record({})]);
    await waiting;
  });
});

test('deltas and snapshots that are not needed any more leave no rows', async () => {
  await opened(async ({ log, pool }) => {
    const task = await log.takeTask(0);
    await task.commit(step());
    await task.commit(step({ snapshot: { streamTimeMs: 1, bytes: Buffer.from('one') } }));
    await task.commit(step());
    await task.commit(step({ snapshot: { streamTimeMs: 2, bytes: Buffer.from('two') } }));
    const { rows } = await pool.query(
      'SELECT (SELECT count(*) FROM task_delta) AS deltas, (SELECT count(*) FROM task_snapshot) AS snapshots',
    );
    assert.deepEqual(rows, [{ deltas: 0, snapshots: 1 }]);
  });
});

test('a log whose tables are newer, or say nothing, is not touched', async () => {
  await opened(async ({ namespace, pool }) => {
    const open = () =>
      openPostgresLog({ url: engine.url, namespace, topics: [...CONTRACT_TOPICS, { ...CONTRACT_TOPICS[0], name: 'further' }] });
    await pool.query('UPDATE log_version SET version = version + 1');
    await assert.rejects(open(), (error: Error) => code('CONFIG_INVALID')(error) && error.message.includes('newer'));
    await pool.query('DROP TABLE log_version');
    await assert.rejects(open(), code('CONFIG_INVALID'));
    assert.equal((await pool.query("SELECT FROM log_partition WHERE topic = 'further'")).rowCount, 0);
    await pool.query('CREATE TABLE log_version (version int NOT NULL)');
    await pool.query('INSERT INTO log_version VALUES ($1)', [TABLES_VERSION]);
    await (await open()).close();
  });
});

test('names of namespaces are checked, and a dropped one begins anew', async () => {
  for (const name of ['', 'A', '1a', 'a-b', 'a"b', 'registry', 'x'.repeat(42), "a'; DROP TABLE x; --"]) {
    await assert.rejects(openPostgresLog({ url: engine.url, namespace: name }), code('CONFIG_INVALID'));
    await assert.rejects(dropNamespace(engine.url, name), code('CONFIG_INVALID'));
  }
  const namespace = engine.namespace();
  const at = { topic: 'narrow', partition: 0 };
  for (let round = 0; round < 2; round++) {
    const log = await openPostgresLog({ url: engine.url, namespace, topics: CONTRACT_TOPICS });
    assert.deepEqual(await log.append([numbered('s', 1, at)]), { appended: 1, redelivered: 0 });
    assert.deepEqual(await log.endOffsets('narrow'), [1]);
    await log.close();
    await dropNamespace(engine.url, namespace);
    await dropNamespace(engine.url, namespace);
  }
});

test('a server that does not answer is told by its code', async () => {
  const nobody = createServer();
  nobody.listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const url = new URL(engine.url);
  url.port = String((nobody.address() as { port: number }).port);
  nobody.close();
  await once(nobody, 'close');
  await assert.rejects(openPostgresLog({ url: url.toString(), namespace: 'nobody' }), code('DATABASE_UNREACHABLE'));
  const between = await proxy();
  await opened(async ({ log }) => {
    const task = await log.takeTask(0);
    between.close();
    await assert.rejects(log.read({ topic: 'narrow', partition: 0 }, 0, ALL), code('DATABASE_UNREACHABLE'));
    await assert.rejects(log.endOffsets('narrow'), code('DATABASE_UNREACHABLE'));
    await assert.rejects(log.takeTask(0), code('DATABASE_UNREACHABLE'));
    await assert.rejects(task.commit(step()), code('DATABASE_UNREACHABLE'));
    await assert.rejects(log.append([record({})]), code('DATABASE_UNREACHABLE'));
  }, between.url);
});
