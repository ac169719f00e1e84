-- Tables and functions of the log in one namespace (a PostgreSQL schema, the search_path while this runs).
-- One row per batch; payloads are kept out of line and uncompressed, as they are written once and read in order.

-- Of these tables and functions (TABLES_VERSION); code that knows another one does not touch them.
CREATE TABLE log_version (version int NOT NULL);

CREATE TABLE log_partition (
  topic text COLLATE "C" NOT NULL, partition int NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0, last_appended_ms bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 40);

CREATE TABLE log_batch (
  topic text COLLATE "C" NOT NULL, partition int NOT NULL, first_offset bigint NOT NULL,
  end_offset bigint NOT NULL, appended_ms bigint NOT NULL, payload_bytes int NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (topic, partition, first_offset)
);
ALTER TABLE log_batch ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX log_batch_appended ON log_batch (topic, partition, appended_ms);

-- Highest delivery number committed, by source: what is at or below it is a redelivery.
CREATE TABLE log_source (
  topic text COLLATE "C" NOT NULL, partition int NOT NULL, source text COLLATE "C" NOT NULL, last_number bigint NOT NULL,
  PRIMARY KEY (topic, partition, source)
) WITH (fillfactor = 70);

-- `label` names the processors and settings that made the state of the latest step.
CREATE TABLE task (
  partition int PRIMARY KEY, epoch bigint NOT NULL, step bigint NOT NULL, positions jsonb NOT NULL, label text
) WITH (fillfactor = 20);
CREATE TABLE task_journal (partition int, step bigint, entries jsonb NOT NULL, PRIMARY KEY (partition, step));
CREATE TABLE task_delta (partition int, step bigint, delta bytea NOT NULL, PRIMARY KEY (partition, step));
ALTER TABLE task_delta ALTER COLUMN delta SET STORAGE EXTERNAL;
CREATE TABLE task_snapshot (
  partition int, step bigint, label text NOT NULL, stream_time_ms bigint NOT NULL, positions jsonb NOT NULL, bytes bytea NOT NULL,
  PRIMARY KEY (partition, step)
);
ALTER TABLE task_snapshot ALTER COLUMN bytes SET STORAGE EXTERNAL;
-- Schema ids as this namespace's bytes use them: a registry that says otherwise is refused at start.
CREATE TABLE recorded_schema (id int PRIMARY KEY, fingerprint text NOT NULL);

-- Appends batches (payloads lie end to end in `blob`). Partition rows are locked in the order given, which the caller
-- sorts, and stay locked until commit: offsets become visible in order and without gaps. Raises IFLEX_REDELIVERY where
-- a source's first number is not above the last one committed; nothing is appended then.
CREATE FUNCTION log_append(
  topics text[], partitions int[], counts int[], sizes int[], blob bytea,
  source_batch int[], source_names text[], source_first bigint[], source_last bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  i int;
  at int := 1;
  ends bigint;
  stamped bigint;
BEGIN
  FOR i IN 1 .. cardinality(topics) LOOP
    UPDATE log_partition SET next_offset = next_offset + counts[i],
      last_appended_ms = greatest(last_appended_ms, floor(extract(epoch FROM clock_timestamp()) * 1000))
      WHERE topic = topics[i] AND partition = partitions[i] RETURNING next_offset, last_appended_ms INTO ends, stamped;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'IFLEX_TOPIC_UNKNOWN %', topics[i];
    END IF;
    INSERT INTO log_batch
      VALUES (topics[i], partitions[i], ends - counts[i], ends, stamped, sizes[i], substring(blob FROM at FOR sizes[i]));
    at := at + sizes[i];
  END LOOP;
  IF cardinality(source_batch) > 0 THEN
    -- The partition rows are locked, so nobody changes these sources between the look and the write.
    IF EXISTS (SELECT FROM unnest(source_batch, source_names, source_first) AS given (b, s, f)
        JOIN log_source known ON known.topic = topics[b] AND known.partition = partitions[b] AND known.source = s
        WHERE known.last_number >= f) THEN
      RAISE EXCEPTION 'IFLEX_REDELIVERY';
    END IF;
    INSERT INTO log_source SELECT topics[b], partitions[b], s, l FROM unnest(source_batch, source_names, source_last) AS given (b, s, l)
      ON CONFLICT (topic, partition, source) DO UPDATE SET last_number = excluded.last_number;
  END IF;
END $$;

CREATE FUNCTION log_month(time_ms bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT date_trunc('month', to_timestamp(time_ms / 1000.0) AT TIME ZONE 'UTC')
$$;

-- One atomic step of a task; raises IFLEX_FENCED where another owner has taken it, or the step is not the next one.
CREATE FUNCTION log_step(
  task_partition int, task_epoch bigint, new_step bigint, new_label text, new_positions jsonb, new_journal jsonb, new_delta bytea,
  snapshot_time bigint, snapshot_bytes bytea, daily_from bigint, day_ms bigint,
  topics text[], partitions int[], counts int[], sizes int[], blob bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE task SET step = new_step, label = new_label, positions = new_positions
    WHERE task.partition = task_partition AND epoch = task_epoch AND step = new_step - 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'IFLEX_FENCED';
  END IF;
  INSERT INTO task_journal VALUES (task_partition, new_step, new_journal);
  IF snapshot_bytes IS NOT NULL THEN
    INSERT INTO task_snapshot VALUES (task_partition, new_step, new_label, snapshot_time, new_positions, snapshot_bytes);
    DELETE FROM task_delta WHERE task_delta.partition = task_partition;
    -- Of each day the last one is kept, and of each month before `daily_from`.
    DELETE FROM task_snapshot s WHERE s.partition = task_partition AND EXISTS (
      SELECT FROM task_snapshot n WHERE n.partition = task_partition AND n.step > s.step
        AND (n.stream_time_ms / day_ms = s.stream_time_ms / day_ms
          OR s.stream_time_ms < daily_from AND log_month(n.stream_time_ms) = log_month(s.stream_time_ms)));
  ELSIF length(new_delta) > 0 THEN
    INSERT INTO task_delta VALUES (task_partition, new_step, new_delta);
  END IF;
  IF cardinality(topics) > 0 THEN
    PERFORM log_append(topics, partitions, counts, sizes, blob, '{}', '{}', '{}', '{}');
  END IF;
END $$;
