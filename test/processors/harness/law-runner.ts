/** Runs one processor alone on recorded inputs, bytes in and bytes out, with its state in the open. */
import type { Codec } from '../../../schemas/codec.ts';
import { Drive } from '../../../streams/drive.ts';
import type { LogRecord } from '../../../streams/event-log.ts';
import type { Emit, Processor } from '../../../streams/processor.ts';
import { StateReader, StateWriter } from '../../../streams/state-bytes.ts';
import { findTopic } from '../../../streams/topics.ts';

/** What reaches a processor: an event of a topic it reads, or a tick (no bytes). */
export interface Input {
  topic: string;
  bytes: Uint8Array | null;
  knownAtMs: number;
  streamTimeMs: number;
}

export interface Output {
  topic: string;
  bytes: Buffer;
}

/** Everything that reaches a processor while the whole topology runs over the records of a site. */
export function inputsOf(processor: Processor, topology: readonly Processor[], codec: Codec, records: readonly LogRecord[]): Input[] {
  const inputs: Input[] = [];
  const recorder: Processor = {
    ...processor,
    onEvent(state, event, emit, reject) {
      const bytes = codec.encode(findTopic(event.topic)!.schema, event.value);
      inputs.push({ topic: event.topic, bytes, knownAtMs: event.knownAtMs, streamTimeMs: event.streamTimeMs });
      processor.onEvent(state, event, emit, reject);
    },
    onTick(state, tickMs, emit) {
      inputs.push({ topic: 'ticks', bytes: null, knownAtMs: tickMs, streamTimeMs: tickMs });
      processor.onTick(state, tickMs, emit);
    },
  };
  const drive = new Drive({ processors: topology.map((other) => (other === processor ? recorder : other)), codec });
  for (const record of records) drive.take(record);
  return inputs;
}

export class Runner {
  readonly outputs: Output[];
  private readonly processor: Processor;
  private readonly codec: Codec;
  private readonly key: string;
  private readonly state: unknown;

  constructor(processor: Processor, codec: Codec, key: string, outputs: Output[] = []) {
    this.processor = processor;
    this.codec = codec;
    this.key = key;
    this.state = processor.initialState(key);
    this.outputs = outputs;
  }

  takeAll(inputs: readonly Input[]): this {
    for (const input of inputs) this.take(input);
    return this;
  }

  take(input: Input, value: unknown = input.bytes && this.codec.decode(input.bytes).value): this {
    const emit: Emit = (topic, event) => {
      this.outputs.push({ topic, bytes: this.codec.encode(findTopic(topic)!.schema, event) });
    };
    this.give(input, value, emit);
    return this;
  }

  /** Throws at the emission of the given number, or else when the event is done. */
  takeAndThrow(input: Input, emission: number): void {
    let emitted = 0;
    this.give(input, input.bytes && this.codec.decode(input.bytes).value, () => {
      if (emitted++ === emission) throw new Error('injected');
    });
    throw new Error('injected');
  }

  private give(input: Input, value: unknown, emit: Emit): void {
    const { topic, knownAtMs, streamTimeMs } = input;
    if (topic === 'ticks') this.processor.onTick(this.state, knownAtMs, emit);
    else this.processor.onEvent(this.state, { topic, key: this.key, value, knownAtMs, streamTimeMs }, emit, () => {});
  }

  snapshot(): Buffer {
    return this.encoded(true);
  }

  /** Changes since the last delta, as a step commits them. */
  delta(): Buffer {
    const changes = this.encoded(false);
    this.processor.markCommitted(this.state);
    return changes;
  }

  private encoded(everything: boolean): Buffer {
    const out = new StateWriter();
    this.processor.encodeChanges(this.state, out, everything);
    return out.finish();
  }

  apply(changes: Buffer): void {
    this.processor.applyChanges(this.state, new StateReader(changes));
    this.processor.markCommitted(this.state);
  }
}
