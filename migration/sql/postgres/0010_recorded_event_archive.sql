-- The ids of events that were recorded hours ago, packed: a row and two entries of indexes for each take seven times the
-- room, and as ids are random, they are all over the table. A repeat of an event carries its timestamp too, which tells
-- the bucket. Those recorded before there were buckets stay rows until they are forgotten.
ALTER TABLE recorded_event ADD COLUMN IF NOT EXISTS bucket bigint;
CREATE INDEX IF NOT EXISTS idx_recorded_event_in_bucket ON recorded_event (recorded_at) WHERE bucket IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_recorded_event_in_none ON recorded_event (recorded_at) WHERE bucket IS NULL;
DROP INDEX IF EXISTS idx_recorded_at;

CREATE TABLE IF NOT EXISTS recorded_event_archive (
    bucket bigint NOT NULL,
    part uuid NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    ids bytea NOT NULL,
    PRIMARY KEY (bucket, part)
);
-- Random bytes cannot be compressed.
ALTER TABLE recorded_event_archive ALTER COLUMN ids SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS idx_recorded_event_archive_recorded_at ON recorded_event_archive (recorded_at);
