/** What of each topic a key has read since it last emitted: where its next outputs come from. */
export interface Range {
  first: number;
  last: number;
}

export class ReadRanges {
  readonly byTopic = new Map<string, Range>();
  /** The range of the topic read last, as the next event is mostly of the same. */
  private latestTopic = '';
  private latest: Range | null = null;

  note(topic: string, offset: number): void {
    if (this.latest !== null && this.latestTopic === topic) this.latest.last = offset;
    else this.noteOther(topic, offset);
  }

  private noteOther(topic: string, offset: number): void {
    let range = this.byTopic.get(topic);
    if (range) range.last = offset;
    else this.byTopic.set(topic, (range = { first: offset, last: offset }));
    this.latestTopic = topic;
    this.latest = range;
  }

  clear(): void {
    this.latest = null;
    this.byTopic.clear();
  }
}
