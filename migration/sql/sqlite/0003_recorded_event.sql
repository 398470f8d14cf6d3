-- The ids of the events recorded lately, as 16 bytes: an event whose id is here changes nothing.
CREATE TABLE IF NOT EXISTS recorded_event (
    id blob PRIMARY KEY NOT NULL,
    recorded_at text NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS idx_recorded_at ON recorded_event (recorded_at);
