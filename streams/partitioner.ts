/**
 * Kafka's default partitioner: murmur2 over the key's UTF-8 bytes, masked to positive, modulo the partition count
 * (org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey). Both logs use it, so a key lands
 * in the same partition whichever client wrote it.
 */
export function partitionOf(key: string, partitionCount: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitionCount;
}

/** 32-bit murmur2 with Kafka's seed; returns a signed integer as Java does. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = data.length;
  let h = 0x9747b28c ^ length;
  const words = length >> 2;
  for (let i = 0; i < words; i++) {
    const at = i * 4;
    let k = data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const tail = words * 4;
  if ((length & 3) === 3) h ^= data[tail + 2] << 16;
  if ((length & 3) >= 2) h ^= data[tail + 1] << 8;
  if ((length & 3) >= 1) {
    h ^= data[tail];
    h = Math.imul(h, m);
  }
  h ^= h >>> 13;
  h = Math.imul(h, m);
  h ^= h >>> 15;
  return h | 0;
}
