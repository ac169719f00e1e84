/** Facts of many files as one stream, by the time they became known; ties by the order of the files. */
import type { Fact } from '../facts.ts';

interface Head {
  order: number;
  batch: Fact[];
  at: number;
  more: AsyncIterator<Fact[]>;
}

/** Each source must ascend. All sources have given their first facts (or failed) before the first fact comes out. */
export async function* mergeByKnownAt(sources: readonly AsyncIterable<Fact[]>[]): AsyncGenerator<Fact> {
  const heap: Head[] = [];
  for (const [order, source] of sources.entries()) {
    const head: Head = { order, batch: [], at: 0, more: source[Symbol.asyncIterator]() };
    if (await refill(head)) push(heap, head);
  }
  while (heap.length > 0) {
    const head = heap[0];
    yield head.batch[head.at++];
    if (head.at >= head.batch.length && !(await refill(head))) {
      const last = heap.pop()!;
      if (heap.length === 0 || last === head) continue;
      heap[0] = last;
    }
    sink(heap);
  }
}

async function refill(head: Head): Promise<boolean> {
  do {
    const { value, done } = await head.more.next();
    if (done) return false;
    head.batch = value;
    head.at = 0;
  } while (head.batch.length === 0);
  return true;
}

function isBefore(a: Head, b: Head): boolean {
  const difference = a.batch[a.at].value.knownAtMs - b.batch[b.at].value.knownAtMs;
  return difference < 0 || (difference === 0 && a.order < b.order);
}

function push(heap: Head[], head: Head): void {
  let at = heap.push(head) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(heap[at], heap[parent])) return;
    [heap[at], heap[parent]] = [heap[parent], heap[at]];
    at = parent;
  }
}

function sink(heap: Head[]): void {
  let at = 0;
  for (;;) {
    let first = at;
    for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && isBefore(heap[child], heap[first])) first = child;
    if (first === at) return;
    [heap[at], heap[first]] = [heap[first], heap[at]];
    at = first;
  }
}
