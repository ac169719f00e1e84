-- Where the raw readings of a site and UTC day stand: first and last offset within each block of offsets of a topic.
CREATE TABLE {{day_index}} (
  site_id text COLLATE "C", utc_day int, topic text COLLATE "C", block bigint, first_offset bigint NOT NULL, last_offset bigint NOT NULL,
  PRIMARY KEY (site_id, utc_day, topic, block)
);
