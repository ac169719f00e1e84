import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * State: an hour of a point, one slot a minute. A double falls into the slot of its first, a late reading into its own,
 * and one get and one put serve all three widths, whatever a delivery holds of the hour.
 *
 *   present i64 · of the other device i64 · estimated i64 · substituted i64 · device i32 · other device i32 · kind i8 · 60 × f64
 */
final class HourOfPoint {
  static final int SLOTS = 60;
  static final int BYTES = 48 + SLOTS * 8;
  static final byte POWER = 0;
  static final byte INTERVAL_ENERGY = 1;
  static final byte REGISTER = 2;
  static final double WATT_OF_MILLIWATT_HOUR_A_MINUTE = 60.0 / 1000;

  private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle DOUBLE = MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);

  private HourOfPoint() {}

  static byte[] begin(byte kind, int device) {
    byte[] hour = new byte[BYTES];
    hour[40] = kind;
    INT.set(hour, 32, device);
    INT.set(hour, 36, device);
    return hour;
  }

  static byte kind(byte[] hour) {
    return hour[40];
  }

  static boolean has(byte[] hour, int slot) {
    return (present(hour) >>> slot & 1) != 0;
  }

  static long present(byte[] hour) {
    return (long) LONG.get(hour, 0);
  }

  /** Readings of a span whose quality is worse than measured, as bits. */
  static long estimated(byte[] hour) {
    return (long) LONG.get(hour, 16);
  }

  static long substituted(byte[] hour) {
    return (long) LONG.get(hour, 24);
  }

  static double value(byte[] hour, int slot) {
    return (double) DOUBLE.get(hour, 48 + slot * 8);
  }

  static int device(byte[] hour, int slot) {
    return (int) INT.get(hour, ((long) LONG.get(hour, 8) >>> slot & 1) != 0 ? 36 : 32);
  }

  static void set(byte[] hour, int slot, double value, int device, int quality) {
    long bit = 1L << slot;
    LONG.set(hour, 0, present(hour) | bit);
    if (device != (int) INT.get(hour, 32)) {
      LONG.set(hour, 8, (long) LONG.get(hour, 8) | bit);
      INT.set(hour, 36, device);
    }
    if (quality == 1) LONG.set(hour, 16, estimated(hour) | bit);
    if (quality == 2) LONG.set(hour, 24, substituted(hour) | bit);
    DOUBLE.set(hour, 48 + slot * 8, value);
  }

  /**
   * What a register counted in the minute of a slot (mWh): up to the next slot, which for the last one is the first of the
   * next hour. A register that fell was reset and counts from zero. NaN where that cannot be said, as at a change of meters.
   */
  static double counted(byte[] hour, int slot, byte[] next) {
    byte[] after = slot + 1 < SLOTS ? hour : next;
    int at = (slot + 1) % SLOTS;
    if (after == null || !has(after, at) || device(after, at) != device(hour, slot)) return Double.NaN;
    double difference = value(after, at) - value(hour, slot);
    return difference >= 0 ? difference : value(after, at);
  }
}
