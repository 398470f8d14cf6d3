-- The ids of events that were recorded hours ago, packed: a row and an entry of an index for each take several times the
-- room, and as ids are random, they are all over the table. A repeat of an event carries its timestamp too, which tells
-- the bucket. Those recorded before there were buckets stay rows until they are forgotten.
CREATE TABLE recorded_event_with_bucket (
    id blob PRIMARY KEY NOT NULL,
    recorded_at text NOT NULL,
    bucket integer
) WITHOUT ROWID;
INSERT INTO recorded_event_with_bucket (id, recorded_at) SELECT id, recorded_at FROM recorded_event;
DROP TABLE recorded_event;
ALTER TABLE recorded_event_with_bucket RENAME TO recorded_event;
CREATE INDEX idx_recorded_event_in_bucket ON recorded_event (recorded_at) WHERE bucket IS NOT NULL;
CREATE INDEX idx_recorded_event_in_none ON recorded_event (recorded_at) WHERE bucket IS NULL;

CREATE TABLE IF NOT EXISTS recorded_event_archive (
    bucket integer NOT NULL,
    part blob NOT NULL,
    recorded_at text NOT NULL,
    ids blob NOT NULL,
    PRIMARY KEY (bucket, part)
);
CREATE INDEX IF NOT EXISTS idx_recorded_event_archive_recorded_at ON recorded_event_archive (recorded_at);
