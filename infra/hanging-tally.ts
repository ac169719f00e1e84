/** What a process did about transactions on Kafka that hang: told at once, and counted for the metrics. */
import { Counter, type Registry } from 'prom-client';
import type { HangingFound } from '../streams/kafka-repair.ts';

export class HangingTally {
  readonly counts: Record<HangingFound['outcome'], number> = { commit: 0, abort: 0, left: 0 };
  readonly note: (found: HangingFound) => void;

  constructor(tell: (line: string) => void) {
    this.note = ({ outcome, text }) => {
      this.counts[outcome]++;
      tell(`Alarm: ${text}`);
    };
  }
}

export function countHanging(registry: Registry, counts: Readonly<Record<string, number>>): void {
  new Counter({
    name: 'iflex_kafka_hanging_transactions_total',
    help: 'Transactions that hung, by what this process did: commit, abort, or left for the operator.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(counts)) this.inc({ outcome }, count);
    },
  });
}
