-- What could not be used, and what the data show about themselves; the place in the topic is the key, with the time
-- that a hypertable's key must hold.
CREATE TABLE {{rejected}} (
  topic_partition int, topic_offset bigint, site_id text COLLATE "C", point_id text COLLATE "C", known_at timestamptz NOT NULL,
  start_at timestamptz, code text NOT NULL, reason text NOT NULL, source text NOT NULL, reading_count int NOT NULL,
  bytes bytea NOT NULL, byte_length bigint NOT NULL, sha256 text NOT NULL,
  PRIMARY KEY (topic_partition, topic_offset, known_at)
);
CREATE INDEX ON {{rejected}} (site_id, known_at);
CREATE INDEX ON {{rejected}} (source);
CREATE INDEX ON {{rejected}} (known_at, topic_partition, topic_offset);
CREATE TABLE {{notice}} (
  topic_partition int, topic_offset bigint, site_id text COLLATE "C" NOT NULL, point_id text COLLATE "C" NOT NULL,
  known_at timestamptz NOT NULL, start_at timestamptz NOT NULL, kind text NOT NULL, value float8, other_value float8,
  notice_count bigint NOT NULL,
  PRIMARY KEY (known_at, topic_partition, topic_offset)
);
CREATE INDEX ON {{notice}} (site_id, known_at);
-- requires: timescaledb
SELECT {{timescaledb}}.create_hypertable('{{rejected}}', 'known_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{notice}}', 'known_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
