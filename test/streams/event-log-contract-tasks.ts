/** Of the contract of a log: atomic steps, state, and taking tasks over. */
import assert from 'node:assert/strict';
import { MAX_EVENT_BYTES } from '../../streams/limits.ts';
import { type Again, type Check, code, random, readAll, record, stateOf, step, textOf, texts } from './event-log-fixtures.ts';

export function tasks(check: Check, again: Again): void {
  const derived = (text: string, partition = 2) => record({ topic: 'derived', partition, value: Buffer.from(text) });
  const at = { topic: 'derived', partition: 2 };

  check('a step is committed whole: outputs, state, positions, journal', async (log, namespace) => {
    const task = await log.takeTask(2);
    assert.deepEqual(task.state, { stepNumber: 0, label: null, positions: {}, snapshot: null, deltas: [] });
    assert.equal(task.partition, 2);
    assert.deepEqual(await log.taskPositions(2), {});
    const journal = [
      { topic: 'facts.a', firstOffset: 0, endOffset: 4, count: 3 },
      { topic: 'facts.b', firstOffset: 7, endOffset: 8, count: 1 },
    ];
    await task.commit(
      step({ outputs: [derived('one'), derived('two'), derived('else', 0)], journal, positions: { 'facts.a': 4, 'facts.b': 8 } }),
    );
    await task.commit(
      step({ label: 'other', delta: Buffer.from('second'), positions: { 'facts.a': 5, 'facts.b': 8 }, outputs: [derived('three')] }),
    );
    await again(namespace, async (other) => {
      assert.deepEqual(await texts(other, at), ['one', 'two', 'three']);
      assert.deepEqual(await texts(other, { topic: 'derived', partition: 0 }), ['else']);
      assert.deepEqual(await other.taskPositions(2), { 'facts.a': 5, 'facts.b': 8 });
      assert.deepEqual(await other.journal(2, 0, 10), [
        { step: 1, entries: journal },
        { step: 2, entries: [] },
      ]);
      assert.deepEqual(
        (await other.journal(2, 2, 10)).map((each) => each.step),
        [2],
      );
      assert.deepEqual(
        (await other.journal(2, 1, 1)).map((each) => each.step),
        [1],
      );
      const next = await other.takeTask(2);
      assert.deepEqual(stateOf(next), ['delta', 'second']);
      assert.deepEqual([next.state.stepNumber, next.state.label, next.state.positions], [2, 'other', { 'facts.a': 5, 'facts.b': 8 }]);
    });
  });

  check('a step that is refused leaves nothing, and the next one counts in its place', async (log) => {
    const task = await log.takeTask(2);
    await task.commit(step({ outputs: [derived('kept')], positions: { 'facts.a': 1 } }));
    const bad = step({ delta: Buffer.from('bad'), positions: { 'facts.a': 9 }, snapshot: { streamTimeMs: 0, bytes: Buffer.from('bad') } });
    await assert.rejects(
      task.commit({ ...bad, outputs: [derived('bad'), derived('x'.repeat(MAX_EVENT_BYTES + 1))] }),
      code('EVENT_TOO_LARGE'),
    );
    await assert.rejects(task.commit({ ...bad, outputs: [derived('bad'), record({ topic: 'nowhere' })] }), code('TOPIC_UNKNOWN'));
    assert.deepEqual(await texts(log, at), ['kept']);
    assert.deepEqual(await log.taskPositions(2), { 'facts.a': 1 });
    await task.commit(step({ delta: Buffer.from('good'), positions: { 'facts.a': 2 } }));
    const next = await log.takeTask(2);
    assert.deepEqual(stateOf(next), ['delta', 'good']);
    assert.deepEqual([next.state.stepNumber, (await log.journal(2, 0, 10)).length], [2, 2]);
  });

  check('state is the latest snapshot and the deltas after it', async (log, namespace) => {
    const pick = random(5);
    let expected: string[] = [];
    let task = await log.takeTask(1);
    for (let i = 1; i <= 40; i++) {
      const isSnapshot = pick(6) === 0;
      const isEmpty = !isSnapshot && pick(5) === 0;
      const snapshot = isSnapshot ? { streamTimeMs: i * 1_000, bytes: Buffer.from(`snapshot ${i}`) } : undefined;
      await task.commit(step({ delta: Buffer.from(isEmpty ? '' : `delta ${i}`), positions: { 'facts.a': i }, snapshot }));
      if (snapshot) expected = [`snapshot ${i}`];
      else if (!isEmpty) expected.push(`delta ${i}`);
      if (pick(4) > 0) continue;
      task = pick(2) === 0 ? await log.takeTask(1) : await again(namespace, (other) => other.takeTask(1)).then(() => log.takeTask(1));
      assert.deepEqual(stateOf(task), expected);
      assert.deepEqual([task.state.stepNumber, task.state.positions], [i, { 'facts.a': i }]);
    }
  });

  check('of snapshots the last of a day is kept for 35 days, the last of a month for ever', async (log) => {
    const dayMs = 86_400_000;
    const start = Date.UTC(2023, 0, 1);
    const task = await log.takeTask(0);
    for (let half = 0; half < 2 * 120; half++) {
      const streamTimeMs = start + half * (dayMs / 2);
      await task.commit(
        step({
          label: half < 100 ? 'old' : 'label',
          positions: { 'facts.a': half },
          snapshot: { streamTimeMs, bytes: Buffer.from(`${half}`) },
        }),
      );
    }
    const kept = async (label: string, timeMs: number) => (await log.keptSnapshot(0, label, timeMs))?.stepNumber;
    const lastOfDay = (day: number) => 2 * day + 2;
    assert.equal(await kept('label', start - 1), undefined);
    assert.equal(await kept('label', start + 120 * dayMs), lastOfDay(119));
    for (let day = 119; day > 84; day--) assert.equal(await kept('label', start + day * dayMs + dayMs - 1), lastOfDay(day), `day ${day}`);
    assert.equal(await kept('old', start + 45 * dayMs), lastOfDay(30), 'the end of January stands for all of it');
    assert.equal(await kept('label', start + 45 * dayMs), undefined, 'another label has none that early');
    const { positions, bytes, streamTimeMs } = (await log.keptSnapshot(0, 'old', start + 31 * dayMs))!;
    assert.deepEqual([positions, Buffer.from(bytes).toString(), streamTimeMs], [{ 'facts.a': 61 }, '61', start + 30.5 * dayMs]);
  });

  check('taking a task over fences the former owner, whose commits leave nothing', async (log, namespace) => {
    await again(namespace, async (other) => {
      const zombie = await log.takeTask(2);
      await zombie.commit(step({ outputs: [derived('first')], positions: { 'facts.a': 1 } }));
      const owner = await other.takeTask(2);
      const late = step({
        outputs: [derived('zombie'), derived('zombie', 0)],
        positions: { 'facts.a': 7 },
        snapshot: { streamTimeMs: 1, bytes: Buffer.from('zombie') },
      });
      await assert.rejects(zombie.commit(late), code('TASK_FENCED'));
      await owner.commit(step({ delta: Buffer.from('second'), outputs: [derived('second')], positions: { 'facts.a': 2 } }));
      await assert.rejects(zombie.commit(late), code('TASK_FENCED'));
      assert.deepEqual(await texts(other, at), ['first', 'second']);
      assert.deepEqual(await texts(other, { topic: 'derived', partition: 0 }), []);
      const bystander = await log.takeTask(3);
      await bystander.commit(step({ outputs: [derived('other task')] }));
      await owner.commit(step({ delta: Buffer.from('third'), positions: { 'facts.a': 3 } }));
      const last = await log.takeTask(2);
      assert.deepEqual(stateOf(last), ['delta', 'second', 'third']);
      assert.deepEqual(await log.taskPositions(2), { 'facts.a': 3 });
      assert.equal(await log.keptSnapshot(2, 'label', 1_000), null);
      await assert.rejects(owner.commit(late), code('TASK_FENCED'));
    });
  });

  check('a commit that is under way while its task is taken over counts wholly or not at all', async (log, namespace) => {
    await again(namespace, async (other) => {
      const committed: string[] = [];
      let owner = await log.takeTask(2);
      for (let i = 0; i < 30; i++) {
        const outputs = Array.from({ length: 1 + (i % 5) * 40 }, (_, j) => derived(`${i}.${j}`));
        const committing = owner.commit(step({ delta: Buffer.from(`${i}`), outputs, positions: { 'facts.a': i } })).then(
          () => true,
          (error) => {
            if (!code('TASK_FENCED')(error)) throw error;
            return false;
          },
        );
        const next = await (i % 2 === 0 ? other : log).takeTask(2);
        if (await committing) committed.push(`${i}`);
        assert.deepEqual(stateOf(next), committed);
        assert.equal(next.state.stepNumber, committed.length);
        owner = next;
      }
      const expected = committed.flatMap((i) => Array.from({ length: 1 + (Number(i) % 5) * 40 }, (_, j) => `${i}.${j}`));
      assert.deepEqual(await texts(log, at), expected);
      await owner.commit(step({ delta: Buffer.from('end') }));
    });
  });

  check('many tasks commit at once, each in its own order', async (log) => {
    await Promise.all(
      [0, 1, 2, 3].map(async (partition) => {
        const task = await log.takeTask(partition);
        for (let i = 0; i < 20; i++)
          await task.commit(
            step({
              outputs: [0, 1, 2, 3].map((to) =>
                record({ topic: 'derived', partition: to, key: `${partition}`, value: Buffer.from(`${i}`) }),
              ),
            }),
          );
      }),
    );
    for (let partition = 0; partition < 4; partition++) {
      const read = await readAll(log, { topic: 'derived', partition });
      for (const key of ['0', '1', '2', '3'])
        assert.deepEqual(
          read.filter((each) => each.key === key).map(textOf),
          Array.from({ length: 20 }, (_, i) => `${i}`),
        );
    }
  });
}
