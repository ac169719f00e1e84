-- Sites and their points as last declared.
CREATE TABLE {{site}} (
  site_id text COLLATE "C" PRIMARY KEY, pilot_id text NOT NULL, time_zone text NOT NULL, kind text NOT NULL, origin text NOT NULL,
  known_at timestamptz NOT NULL
);
CREATE TABLE {{point}} (
  point_ref int PRIMARY KEY, site_id text COLLATE "C" NOT NULL, point_id text COLLATE "C" NOT NULL, name text NOT NULL,
  kind text NOT NULL, carrier text NOT NULL, interval_ms int NOT NULL, forecast boolean NOT NULL,
  UNIQUE (site_id, point_id)
);
