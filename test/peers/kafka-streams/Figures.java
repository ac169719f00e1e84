import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/** What was done, and the CPU time of the whole process that it took: user and system, compiler and collector included. */
final class Figures {
  private final OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private final long startedNs = System.nanoTime();
  private final long expectedDeliveries;
  private final long warmUpReadings;
  private final AtomicLong deliveries = new AtomicLong();
  private final AtomicLong readings = new AtomicLong();
  private long warmReadings;
  private long warmCpuNs;
  private long warmNs;
  final LongAdder late = new LongAdder();
  final LongAdder doubled = new LongAdder();
  final LongAdder outputs = new LongAdder();
  final LongAdder[] windows = {new LongAdder(), new LongAdder(), new LongAdder()};
  final CountDownLatch allTaken = new CountDownLatch(1);

  Figures(long expectedDeliveries, long warmUpReadings) {
    this.expectedDeliveries = expectedDeliveries;
    this.warmUpReadings = warmUpReadings;
  }

  void took(int count) {
    long sum = readings.addAndGet(count);
    if (sum >= warmUpReadings && sum - count < warmUpReadings) {
      synchronized (this) {
        warmReadings = sum;
        warmCpuNs = system.getProcessCpuTime();
        warmNs = System.nanoTime();
      }
    }
    if (deliveries.incrementAndGet() == expectedDeliveries) allTaken.countDown();
  }

  /** One line of JSON, to be asked for once everything is committed. */
  synchronized String json() throws Exception {
    long cpuNs = system.getProcessCpuTime();
    long nowNs = System.nanoTime();
    long collectedMs = ManagementFactory.getGarbageCollectorMXBeans().stream().mapToLong((each) -> each.getCollectionTime()).sum();
    String peak = Files.readString(Path.of("/proc/self/status")).replaceAll("(?s).*VmHWM:\\s+(\\d+) kB.*", "$1");
    return String.format(
        java.util.Locale.ROOT,
        "{\"deliveries\":%d,\"readings\":%d,\"late\":%d,\"doubled\":%d,\"windows\":[%d,%d,%d],\"outputs\":%d,"
            + "\"cpuSeconds\":%.3f,\"wallSeconds\":%.3f,\"warmReadings\":%d,\"warmCpuSeconds\":%.3f,\"warmWallSeconds\":%.3f,"
            + "\"collectorSeconds\":%.3f,\"peakMegabytes\":%.0f}",
        deliveries.get(), readings.get(), late.sum(), doubled.sum(), windows[0].sum(), windows[1].sum(), windows[2].sum(), outputs.sum(),
        cpuNs / 1e9, (nowNs - startedNs) / 1e9, warmReadings, warmCpuNs / 1e9, warmReadings == 0 ? 0 : (warmNs - startedNs) / 1e9,
        collectedMs / 1e3, Long.parseLong(peak) / 1024.0);
  }
}
