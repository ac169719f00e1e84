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
-- Sizes of chunks as measured on TimescaleDB 2.19.3, two cores, 256 MB of shared buffers, median ms a question; bulk: rows/s
-- of whole years by point; year: a sum over a year of a point; latest: its newest row. 10,000 points, 5 min, 11.9 M rows:
--   chunk     live rows/s   bulk    year   latest          60 points, 60 min, 2.6 M rows:  bulk    year   latest
--   1 day     302,000      174,000  132     21
--   7 days    239,000      118,000   48      5
--   30 days   288,000      304,000   35      0.7                                30 days   343,000   1.9    2.0
--   90 days   188,000      228,000   26      0.7                                90 days   383,000   2.3    0.9
--   360 days                                                                   360 days   370,000   1.5    0.4
--   no chunks 273,000      284,000   14      0.2                              no chunks   366,000   1.3    0.3
-- Others worked on the machine: differences under a third say nothing. Days of small chunks cost bulk loads and questions
-- dear; beyond 30 days at 5 min (86 M rows at 10,000 points) nothing is won, and rows could only be dropped by the quarter.
SELECT {{timescaledb}}.create_hypertable('{{series_5m}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_5m_history}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_15m}}', 'start_at', chunk_time_interval => INTERVAL '90 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_15m_history}}', 'start_at', chunk_time_interval => INTERVAL '90 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_60m}}', 'start_at', chunk_time_interval => INTERVAL '90 days', create_default_indexes => false);
SELECT {{timescaledb}}.create_hypertable('{{series_60m_history}}', 'start_at', chunk_time_interval => INTERVAL '90 days', create_default_indexes => false);
