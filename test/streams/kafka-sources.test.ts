import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Group } from '../../streams/append-groups.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import type { KafkaReader } from '../../streams/kafka-reader.ts';
import { KafkaSources, sourceMarks } from '../../streams/kafka-sources.ts';
import { seededRandom } from '../crash/scenario.ts';
import { record } from './event-log-fixtures.ts';

const AT = { topic: 'sources', partition: 0 };
const OTHERS_MARK = 100;
const OWN_MARK = 101;

const delivery = record({ topic: 'facts.a', headers: { source: 'meter', number: 7 } });
const group: Group = { topic: 'facts.a', partition: 0, records: [delivery], sources: new Map([['meter', { first: 7, last: 7 }]]) };

/** A partition in which another writer's mark of the same delivery becomes committed after so many answers. */
function readerOf(answersUntilDecided: number): KafkaReader {
  let answers = 0;
  const answer = async <T>(value: (end: number) => T): Promise<T> => {
    await turn();
    return value(answers++ >= answersUntilDecided ? OWN_MARK : OTHERS_MARK);
  };
  const [{ key, value }] = sourceMarks([group]);
  const mark = { ...record({ key, value: value! }), ...AT, offset: OTHERS_MARK, appendedMs: 0 } as LogRecord;
  return {
    read: (_at: unknown, offset: number) =>
      answer((end) => ({ records: offset <= OTHERS_MARK && end > OTHERS_MARK ? [mark] : [], nextOffset: end })),
    async untilDecided([{ endOffset }]: { endOffset: number }[]) {
      while ((await answer((end) => end)) < endOffset);
    },
    ends: () => answer((end) => [end]),
  } as unknown as KafkaReader;
}

test('who marked a delivery later sees that it was overtaken, whenever the other one is decided', async () => {
  const random = seededRandom(3);
  for (let i = 0; i < 200; i++) {
    const sources = new KafkaSources(readerOf(i < 10 ? i : Math.floor(random() * 20)), AT);
    await sources.catchUpTo(OWN_MARK);
    assert.ok(sources.overtook([group]), `round ${i}`);
  }
});
