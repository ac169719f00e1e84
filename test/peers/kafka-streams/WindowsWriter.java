import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Writes framed ResampledWindows: one window each of the points of a site, in the bytes of the pipeline's own schema. */
final class WindowsWriter {
  private static final VarHandle DOUBLE = MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);
  private static final int HEAD_BYTES = 128;
  private static final int POINT_BYTES = 256;

  private final int schemaId;
  private final int widthMs;
  private byte[] series = new byte[16 * 1024];
  private int at;
  int points;

  WindowsWriter(int schemaId, int widthMs) {
    this.schemaId = schemaId;
    this.widthMs = widthMs;
  }

  void add(byte[] key, int pointFrom, int pointTo, long startMs, Window window) {
    if (series.length - at < POINT_BYTES + pointTo - pointFrom) series = Arrays.copyOf(series, series.length * 2);
    points++;
    text(key, pointFrom, pointTo);
    series[at++] = 1;
    one(startMs);
    one(Math.round(window.energyMilliWh));
    one(window.mean());
    one(window.min);
    one(window.max);
    one(window.last);
    one(window.readings);
    one(window.coveredMs);
    one(window.measuredMs);
    oneByte(window.quality);
    oneByte(0);
    one(0L);
    oneByte(0);
  }

  /** The record of what was added, after which it is empty. */
  byte[] finish(byte[] key, int siteFrom, int siteTo, long knownAtMs) {
    int length = at;
    byte[] written = series;
    series = new byte[HEAD_BYTES + siteTo - siteFrom];
    at = 0;
    series[at++] = 0;
    for (int shift = 24; shift >= 0; shift -= 8) series[at++] = (byte) (schemaId >>> shift);
    text(key, siteFrom, siteTo);
    number(knownAtMs);
    number(widthMs);
    number(points);
    byte[] record = Arrays.copyOf(series, at + length + 1);
    System.arraycopy(written, 0, record, at, length);
    series = written;
    at = 0;
    points = 0;
    return record;
  }

  /** Columns of one item each: the count, the item, and the end of the array. */
  private void one(long item) {
    series[at++] = 2;
    number(item);
    series[at++] = 0;
  }

  private void one(double item) {
    series[at++] = 2;
    DOUBLE.set(series, at, item);
    at += 8;
    series[at++] = 0;
  }

  private void oneByte(int item) {
    series[at++] = 2;
    series[at++] = (byte) item;
  }

  private void text(byte[] from, int start, int end) {
    number(end - start);
    System.arraycopy(from, start, series, at, end - start);
    at += end - start;
  }

  private void number(long item) {
    long bits = (item << 1) ^ (item >> 63);
    for (; (bits & ~0x7fL) != 0; bits >>>= 7) series[at++] = (byte) (bits & 0x7f | 0x80);
    series[at++] = (byte) bits;
  }
}
