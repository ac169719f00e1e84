import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Reads a framed ReadingsDelivery series by series without making objects of it, as Avro's own reader is several times
 * slower. The schema is the one of the registry id that every record of the topic has.
 */
final class DeliveryReader {
  private static final VarHandle DOUBLE = MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);
  private static final int WATT = 1;
  private static final int MILLIWATT_HOUR = 2;

  byte[] bytes;
  long knownAtMs;
  int siteFrom;
  int siteTo;
  int pointFrom;
  int pointTo;
  byte kind;
  int device;
  int count;
  long[] startMs = new long[64];
  double[] value = new double[64];
  private int qualityFrom;
  private int qualityLength;
  private int at;
  private long left;

  void open(byte[] framed) {
    bytes = framed;
    at = 5;
    int length = (int) readLong();
    siteFrom = at;
    at = siteTo = siteFrom + length;
    knownAtMs = readLong();
    left = blockCount();
  }

  /** The next series into the fields; false after the last. */
  boolean next() {
    if (left == 0) return false;
    int length = (int) readLong();
    pointFrom = at;
    at = pointTo = pointFrom + length;
    int unit = (int) readLong();
    boolean hasDevice = readLong() == 1;
    device = 0;
    if (hasDevice) {
      int size = (int) readLong();
      for (int end = at + size; at < end; at++) device = 31 * device + bytes[at];
    }
    // Declarations would tell registers from intervals; here only registers name their meter.
    kind = unit == MILLIWATT_HOUR ? hasDevice ? HourOfPoint.REGISTER : HourOfPoint.INTERVAL_ENERGY : HourOfPoint.POWER;
    if (unit != WATT && unit != MILLIWATT_HOUR) throw new IllegalArgumentException("Unit " + unit + " is not that of a meter.");
    readStarts();
    readValues();
    qualityLength = (int) readLong();
    qualityFrom = at;
    at += qualityLength;
    if (--left == 0) left = blockCount();
    return true;
  }

  int quality(int reading) {
    return bytes[qualityFrom + (qualityLength == 1 ? 0 : reading)];
  }

  private void readStarts() {
    count = 0;
    long time = 0;
    for (long items = blockCount(); items > 0; items = blockCount())
      for (; items > 0; items--) {
        time += readLong();
        if (count == startMs.length) grow();
        startMs[count++] = time;
      }
  }

  private void readValues() {
    int i = 0;
    for (long items = blockCount(); items > 0; items = blockCount())
      for (; items > 0; items--, at += 8) value[i++] = (double) DOUBLE.get(bytes, at);
    for (long items = blockCount(); items > 0; items = blockCount()) for (; items > 0; items--) value[i++] = readLong();
    if (i != count) throw new IllegalArgumentException(count + " readings have " + i + " values.");
  }

  private void grow() {
    startMs = java.util.Arrays.copyOf(startMs, count * 2);
    value = java.util.Arrays.copyOf(value, count * 2);
  }

  private long blockCount() {
    long items = readLong();
    if (items >= 0) return items;
    readLong();
    return -items;
  }

  private long readLong() {
    long bits = 0;
    int shift = 0;
    byte next;
    do {
      next = bytes[at++];
      bits |= (long) (next & 0x7f) << shift;
      shift += 7;
    } while (next < 0);
    return (bits >>> 1) ^ -(bits & 1);
  }
}
