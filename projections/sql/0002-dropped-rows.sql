-- Up to when the rows of a table were let go, by its plain name: a rebuild leaves out the same.
CREATE TABLE projection_dropped (table_name text PRIMARY KEY, before timestamptz NOT NULL);
