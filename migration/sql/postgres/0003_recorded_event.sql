-- The ids of the events recorded lately: an event whose id is here changes nothing.
-- Rows are only added and removed, and looked up by index alone: there is nothing to gain from a vacuum after inserts.
CREATE TABLE IF NOT EXISTS recorded_event (
    id uuid PRIMARY KEY,
    recorded_at timestamp with time zone NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX IF NOT EXISTS idx_recorded_at ON recorded_event (recorded_at);
