-- Builds of projections, how far each has read, and the events that did not fit into its rows.
CREATE TABLE point_ref (
  point_ref int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id text COLLATE "C" NOT NULL, point_id text COLLATE "C" NOT NULL,
  UNIQUE (site_id, point_id)
);
CREATE TABLE projection_build (
  name text, build int, version int NOT NULL, current boolean NOT NULL, tables text[] NOT NULL,
  PRIMARY KEY (name, build)
);
CREATE UNIQUE INDEX projection_build_current ON projection_build (name) WHERE current;
CREATE TABLE projection_position (
  name text, build int, topic text COLLATE "C", partition int, next_offset bigint NOT NULL,
  PRIMARY KEY (name, build, topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE projection_skipped (
  name text, build int, topic text COLLATE "C", partition int, topic_offset bigint, reason text NOT NULL,
  PRIMARY KEY (name, build, topic, partition, topic_offset)
);
