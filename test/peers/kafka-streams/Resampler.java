import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Windows of 5, 15 and 60 minutes in event time. Stream time of a task is when its latest delivery became known. A window
 * is emitted once, when stream time passes its end by the grace; what comes later is counted and dropped.
 *
 * Keys of the store: hour i32 (big-endian, so that a scan of an hour gives its points site by site) · site · 0 · point.
 */
final class Resampler implements Processor<byte[], byte[], byte[], byte[]> {
  static final String STORE = "hours";
  static final int[] WIDTH_MINUTES = {5, 15, 60};
  private static final long MINUTE_MS = 60_000;
  private static final long HOUR_MS = 60 * MINUTE_MS;
  private static final long PANE_MS = 5 * MINUTE_MS;
  /** Sorts before all hours. */
  private static final Bytes CLOSED_UNTIL = Bytes.wrap(new byte[] {0});

  private final long graceMs;
  private final Figures figures;
  private final DeliveryReader delivery = new DeliveryReader();
  private final Window window = new Window();
  private final WindowsWriter[] writers;
  private final List<Bytes> ended = new ArrayList<>();
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<Bytes, byte[]> store;
  /** End of the last five minutes that were closed; 0 before the first delivery. */
  private long closedUntilMs;

  Resampler(long graceMs, int schemaId, Figures figures) {
    this.graceMs = graceMs;
    this.figures = figures;
    writers = Arrays.stream(WIDTH_MINUTES).mapToObj((minutes) -> new WindowsWriter(schemaId, minutes * 60_000)).toArray(WindowsWriter[]::new);
  }

  @Override
  public void init(ProcessorContext<byte[], byte[]> given) {
    context = given;
    store = context.getStateStore(STORE);
    byte[] closed = store.get(CLOSED_UNTIL);
    closedUntilMs = closed == null ? 0 : java.nio.ByteBuffer.wrap(closed).getLong();
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    delivery.open(record.value());
    if (closedUntilMs == 0) closedUntilMs = (delivery.knownAtMs - graceMs) / PANE_MS * PANE_MS;
    int readings = 0;
    while (delivery.next()) {
      takeSeries();
      readings += delivery.count;
    }
    long before = closedUntilMs;
    while (closedUntilMs + PANE_MS + graceMs <= delivery.knownAtMs) close(closedUntilMs, delivery.knownAtMs, record.timestamp());
    if (closedUntilMs != before) store.put(CLOSED_UNTIL, java.nio.ByteBuffer.allocate(8).putLong(closedUntilMs).array());
    figures.took(readings);
  }

  /** One get and put for as many readings as follow each other in one hour. */
  private void takeSeries() {
    byte[] hour = null;
    Bytes key = null;
    int hourNumber = -1;
    for (int i = 0; i < delivery.count; i++) {
      long startMs = delivery.startMs[i];
      int quality = delivery.quality(i);
      if (quality == 3) continue;
      if (startMs < closedUntilMs) {
        figures.late.increment();
        continue;
      }
      int number = (int) (startMs / HOUR_MS);
      if (number != hourNumber) {
        if (hour != null) store.put(key, hour);
        hourNumber = number;
        key = keyOf(number);
        hour = store.get(key);
        if (hour == null) hour = HourOfPoint.begin(delivery.kind, delivery.device);
      }
      int slot = (int) (startMs % HOUR_MS / MINUTE_MS);
      if (HourOfPoint.has(hour, slot)) figures.doubled.increment();
      HourOfPoint.set(hour, slot, delivery.value[i], delivery.device, quality);
    }
    if (hour != null) store.put(key, hour);
  }

  private Bytes keyOf(int hourNumber) {
    int site = delivery.siteTo - delivery.siteFrom;
    int point = delivery.pointTo - delivery.pointFrom;
    byte[] key = new byte[4 + site + 1 + point];
    putHour(key, hourNumber);
    System.arraycopy(delivery.bytes, delivery.siteFrom, key, 4, site);
    System.arraycopy(delivery.bytes, delivery.pointFrom, key, 5 + site, point);
    return Bytes.wrap(key);
  }

  private static void putHour(byte[] key, int hourNumber) {
    for (int i = 0; i < 4; i++) key[i] = (byte) (hourNumber >>> (24 - 8 * i));
  }

  /** Emits what ends with these five minutes: their own window, every third time one of 15, every twelfth one of 60. */
  private void close(long startMs, long knownAtMs, long timestamp) {
    int hourNumber = (int) (startMs / HOUR_MS);
    int endSlot = (int) ((startMs + PANE_MS - hourNumber * HOUR_MS) / MINUTE_MS);
    byte[] from = new byte[4];
    byte[] to = new byte[4];
    putHour(from, hourNumber);
    putHour(to, hourNumber + 1);
    byte[] site = null;
    int siteTo = 0;
    try (KeyValueIterator<Bytes, byte[]> hours = store.range(Bytes.wrap(from), Bytes.wrap(to))) {
      while (hours.hasNext()) {
        KeyValue<Bytes, byte[]> entry = hours.next();
        byte[] key = entry.key.get();
        if (site == null || !startsAlike(site, key, siteTo + 1)) {
          if (site != null) emit(site, siteTo, knownAtMs, timestamp);
          site = key;
          siteTo = 4;
          while (key[siteTo] != 0) siteTo++;
        }
        addWindows(key, siteTo + 1, entry.value, endSlot, hourNumber);
        if (endSlot == HourOfPoint.SLOTS) ended.add(entry.key);
      }
    }
    if (site != null) emit(site, siteTo, knownAtMs, timestamp);
    for (Bytes key : ended) store.delete(key);
    ended.clear();
    closedUntilMs = startMs + PANE_MS;
  }

  private static boolean startsAlike(byte[] one, byte[] other, int length) {
    return other.length >= length && Arrays.equals(one, 4, length, other, 4, length);
  }

  private void addWindows(byte[] key, int pointFrom, byte[] hour, int endSlot, int hourNumber) {
    byte[] next = null;
    if (endSlot == HourOfPoint.SLOTS && HourOfPoint.kind(hour) == HourOfPoint.REGISTER) {
      byte[] nextKey = key.clone();
      putHour(nextKey, hourNumber + 1);
      next = store.get(Bytes.wrap(nextKey));
    }
    for (int i = 0; i < WIDTH_MINUTES.length && endSlot % WIDTH_MINUTES[i] == 0; i++) {
      int fromSlot = endSlot - WIDTH_MINUTES[i];
      window.over(hour, fromSlot, endSlot, next);
      if (window.readings == 0) continue;
      figures.windows[i].increment();
      writers[i].add(key, pointFrom, key.length, hourNumber * HOUR_MS + fromSlot * MINUTE_MS, window);
    }
  }

  /** A record for each width that has windows of the site. */
  private void emit(byte[] key, int siteTo, long knownAtMs, long timestamp) {
    byte[] site = Arrays.copyOfRange(key, 4, siteTo);
    for (int i = 0; i < writers.length; i++) {
      if (writers[i].points == 0) continue;
      byte[] value = writers[i].finish(key, 4, siteTo, knownAtMs);
      context.forward(new Record<>(site, value, timestamp), outputName(i));
      figures.outputs.increment();
    }
  }

  static String outputName(int width) {
    return "resampled." + WIDTH_MINUTES[width] + "m";
  }
}
