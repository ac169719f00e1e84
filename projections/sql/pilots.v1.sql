-- Pilots as last declared.
CREATE TABLE {{pilot}} (
  pilot_id text COLLATE "C" PRIMARY KEY, name text NOT NULL, country text NOT NULL, time_zone text NOT NULL, language text NOT NULL,
  bid_zone text, known_at timestamptz NOT NULL
);
