/** What a window says of its minutes. Powers in W, energies in mWh. */
final class Window {
  private static final int MINUTE_MS = 60_000;

  int readings;
  int coveredMs;
  int measuredMs;
  int quality;
  double energyMilliWh;
  double min;
  double max;
  double last;
  private double wattMs;

  /** From the slots [from, to) of an hour; the next hour is asked for what a register counted in the last minute. */
  void over(byte[] hour, int from, int to, byte[] next) {
    long bits = (-1L >>> (64 - (to - from))) << from;
    byte kind = HourOfPoint.kind(hour);
    long present = HourOfPoint.present(hour) & bits;
    long estimated = HourOfPoint.estimated(hour) & bits;
    long substituted = HourOfPoint.substituted(hour) & bits;
    readings = Long.bitCount(present);
    quality = substituted != 0 ? 2 : estimated != 0 ? 1 : 0;
    coveredMs = 0;
    measuredMs = 0;
    energyMilliWh = 0;
    wattMs = 0;
    min = Double.POSITIVE_INFINITY;
    max = Double.NEGATIVE_INFINITY;
    last = 0;
    for (long rest = present; rest != 0; rest &= rest - 1) {
      int slot = Long.numberOfTrailingZeros(rest);
      double value = kind == HourOfPoint.REGISTER ? HourOfPoint.counted(hour, slot, next) : HourOfPoint.value(hour, slot);
      if (value != value) continue;
      boolean isPower = kind == HourOfPoint.POWER;
      double watt = isPower ? value : value * HourOfPoint.WATT_OF_MILLIWATT_HOUR_A_MINUTE;
      energyMilliWh += isPower ? value / HourOfPoint.WATT_OF_MILLIWATT_HOUR_A_MINUTE : value;
      wattMs += watt * MINUTE_MS;
      coveredMs += MINUTE_MS;
      if (((estimated | substituted) >>> slot & 1) == 0) measuredMs += MINUTE_MS;
      min = Math.min(min, watt);
      max = Math.max(max, watt);
      last = watt;
    }
    if (coveredMs == 0) min = max = 0;
  }

  /** Time-weighted over the covered part. */
  double mean() {
    return coveredMs == 0 ? 0 : wattMs / coveredMs;
  }
}
