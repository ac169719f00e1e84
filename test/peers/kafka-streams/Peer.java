import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

/**
 * Resamples a topic of deliveries with Kafka Streams, exactly once and with durable state, up to a number of deliveries:
 * java Peer NAME=VALUE… prints its figures as JSON once all of it is committed. Names with a prefix `streams.` are
 * settings of Kafka Streams; all others are asked for below.
 */
public final class Peer {
  private static final Duration CLOSE_WITHIN = Duration.ofSeconds(120);

  private Peer() {}

  public static void main(String[] arguments) throws Exception {
    Map<String, String> given = new HashMap<>();
    for (String argument : arguments) given.put(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
    Figures figures = new Figures(number(given, "deliveries"), number(given, "warmUpReadings"));
    KafkaStreams streams = new KafkaStreams(topology(given, figures), settings(given));
    Throwable[] failure = {null};
    streams.setUncaughtExceptionHandler((error) -> {
      failure[0] = error;
      figures.allTaken.countDown();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.start();
    figures.allTaken.await();
    // Closing commits what was taken since the last interval.
    boolean isClosed = streams.close(CLOSE_WITHIN);
    if (failure[0] != null) failure[0].printStackTrace();
    else if (!isClosed) System.err.println("It was not closed in time.");
    else System.out.println(figures.json());
    System.exit(failure[0] == null && isClosed ? 0 : 1);
  }

  private static Topology topology(Map<String, String> given, Figures figures) {
    long graceMs = number(given, "graceMinutes") * 60_000;
    int schemaId = (int) number(given, "windowsSchemaId");
    Topology topology = new Topology();
    topology.addSource("deliveries", new ByteArrayDeserializer(), new ByteArrayDeserializer(), text(given, "input"));
    topology.addProcessor("resampler", () -> new Resampler(graceMs, schemaId, figures), "deliveries");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(Resampler.STORE), Serdes.Bytes(), Serdes.ByteArray())
            .withCachingEnabled()
            .withLoggingEnabled(Map.of()),
        "resampler");
    for (int i = 0; i < Resampler.WIDTH_MINUTES.length; i++) {
      String name = Resampler.outputName(i);
      topology.addSink(name, text(given, "output") + name, new ByteArraySerializer(), new ByteArraySerializer(), "resampler");
    }
    return topology;
  }

  private static Properties settings(Map<String, String> given) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, text(given, "application"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, text(given, "brokers"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, text(given, "state"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
    settings.put("auto.offset.reset", "earliest");
    given.forEach((name, value) -> {
      if (name.startsWith("streams.")) settings.put(name.substring("streams.".length()), value);
    });
    return settings;
  }

  private static String text(Map<String, String> given, String name) {
    String value = given.get(name);
    if (value == null) throw new IllegalArgumentException("What is " + name + "?");
    return value;
  }

  private static long number(Map<String, String> given, String name) {
    return Long.parseLong(text(given, name));
  }
}
