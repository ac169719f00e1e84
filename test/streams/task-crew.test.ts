import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IflexError } from '../../streams/errors.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { TaskCrew } from '../../streams/task-crew.ts';
import { testCodec } from './probe.ts';

test('a process that has the tasks alone takes one again that was away for long, and ends where another took it', async () => {
  const answers = [true, false].map((isOverdue) => new IflexError('TASK_FENCED', 'Taken.', { isOverdue }));
  let taken = 0;
  const log = { takeTask: async () => Promise.reject(answers[taken++]) } as unknown as EventLog;
  const { signal } = new AbortController();
  const failure = await new Promise((fail) => {
    const crew = new TaskCrew({ log, codec: testCodec(), processors: [], label: 'test', isShared: false, signal, fail });
    void crew.run([0]);
  });
  assert.deepEqual([failure, taken], [answers[1], 2]);
});
