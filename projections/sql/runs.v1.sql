-- Runs of tasks: which code and settings made the events that carry a run's id. One row for each time that a task began one.
CREATE TABLE {{run}} (
  topic_partition int, topic_offset bigint, run_id text COLLATE "C" NOT NULL, started_at timestamptz NOT NULL, known_at timestamptz NOT NULL,
  code_version text NOT NULL, configuration_hash text NOT NULL, processors text[] NOT NULL, seed bigint, models jsonb NOT NULL,
  schemas jsonb NOT NULL,
  PRIMARY KEY (topic_partition, topic_offset)
);
CREATE INDEX ON {{run}} (run_id);
