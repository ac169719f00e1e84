-- Issued forecasts by belief time (issued_at), in watts.
CREATE TABLE {{forecast}} (
  point_ref int, issued_at timestamptz, start_at timestamptz, width_ms int NOT NULL, model text NOT NULL, method text NOT NULL,
  q10_w float8 NOT NULL, q50_w float8 NOT NULL, q90_w float8 NOT NULL, residual_count int NOT NULL,
  PRIMARY KEY (point_ref, start_at, issued_at)
);
-- requires: timescaledb
SELECT {{timescaledb}}.create_hypertable('{{forecast}}', 'start_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
