-- Windows of every width: current rows, superseded ones, and the latest value of a point.
-- energy_mwh is in milliwatt-hours, null for temperatures and states.
CREATE TABLE {{series_5m}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at)
);
CREATE TABLE {{series_5m_history}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at, revision)
);
CREATE TABLE {{series_15m}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at)
);
CREATE TABLE {{series_15m_history}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at, revision)
);
CREATE TABLE {{series_60m}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at)
);
CREATE TABLE {{series_60m_history}} (
  point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL,
  revision int NOT NULL, reason smallint NOT NULL,
  PRIMARY KEY (point_ref, start_at, revision)
);
CREATE TABLE {{latest_value}} (
  point_ref int PRIMARY KEY, start_at timestamptz NOT NULL, last float8 NOT NULL, mean float8 NOT NULL,
  quality smallint NOT NULL, known_at timestamptz NOT NULL
);
-- requires: timescaledb
SELECT {{timescaledb}}.create_hypertable('{{series_5m}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_5m_history}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_15m}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_15m_history}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_60m}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_60m_history}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
