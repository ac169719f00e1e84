/** Small processors and facts for tests of the drive and of tasks. */
import { Codec } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { DataNotice, ReadingsDelivery } from '../../schemas/types.ts';
import type { LogRecord, NewRecord } from '../../streams/event-log.ts';
import type { Processor } from '../../streams/processor.ts';

/** A codec without a registry: the schemas are numbered in their order. */
export function testCodec(): Codec {
  const schemas = [...currentSchemas().values()];
  const codec = new Codec(schemas);
  schemas.forEach((schema, i) => {
    codec.register({ id: i + 1, schema });
  });
  return codec;
}

interface ProbeState {
  /** Topics of the events so far, first letters, as "msms…". */
  seen: string;
  changed: boolean;
}

const notice = (siteId: string, knownAtMs: number, pointId: string, count: number): DataNotice => ({
  siteId,
  pointId,
  knownAtMs,
  kind: 'UNKNOWN',
  startMs: 0,
  value: null,
  otherValue: null,
  count,
});

/** Reads two topics and emits the interleaving that it saw, on every event and on every tick. */
export const joinProbe: Processor<ProbeState> = {
  name: 'join-probe',
  version: 1,
  reads: ['meter.readings', 'sensor.readings'],
  writes: ['notices'],
  initialState: () => ({ seen: '', changed: false }),
  onEvent(state, event, emit) {
    state.seen = (state.seen + event.topic[0]).slice(-200);
    state.changed = true;
    emit('notices', notice(event.key, event.knownAtMs, state.seen, state.seen.length));
  },
  onTick(state, tickMs, emit) {
    if (state.changed) emit('notices', notice('tick', tickMs, state.seen, 0));
    state.changed = false;
  },
  encodeChanges(state, out) {
    out.text(state.seen);
    out.count(state.changed ? 1 : 0);
  },
  applyChanges(state, changes) {
    state.seen = changes.text();
    state.changed = changes.count() === 1;
  },
  markCommitted() {},
};

/** A delivery without readings: for probes it counts that it came. */
export function delivery(codec: Codec, topic: string, siteId: string, number: number, knownAtMs: number): NewRecord {
  const value: ReadingsDelivery = { siteId, knownAtMs, series: [] };
  return {
    topic,
    key: siteId,
    value: codec.encode('ReadingsDelivery', value),
    headers: { source: `test-${topic}`, number, type: 'ReadingsDelivery', knownAtMs },
  };
}

export function tick(codec: Codec, partition: number, number: number, knownAtMs: number): NewRecord {
  const headers = { source: 'test-ticks', number, type: 'Tick', knownAtMs };
  return { topic: 'ticks', key: String(partition), partition, value: codec.encode('Tick', { knownAtMs }), headers };
}

/** Records as a log would hand them out, at ascending offsets by topic. */
export function asLogRecords(records: readonly NewRecord[], partition = 0): LogRecord[] {
  const next = new Map<string, number>();
  return records.map((record) => {
    const offset = next.get(record.topic) ?? 0;
    next.set(record.topic, offset + 1);
    return { ...record, partition, offset, appendedMs: 0 };
  });
}
