/** Lets so many pieces of work go on at a time, in the order in which they asked. */
export class Turns {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  take<T>(work: () => Promise<T>): Promise<T> {
    return this.inTurn(work, (resolve) => this.waiting.push(resolve));
  }

  /** Before all that wait. */
  takeFirst<T>(work: () => Promise<T>): Promise<T> {
    return this.inTurn(work, (resolve) => this.waiting.unshift(resolve));
  }

  private async inTurn<T>(work: () => Promise<T>, wait: (resolve: () => void) => void): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>(wait);
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}
