-- What the classifier needs to know of the accesses of the last minutes, one row per batch. Each batch is counted knowing
-- all before it, so that the counts are the same on any number of servers and after a restart. Its rows are short-lived.
-- `accesses` holds ids, times and names of accesses, and a hash of each client.
CREATE TABLE IF NOT EXISTS access_journal (
    position bigint PRIMARY KEY,
    batch uuid NOT NULL,
    previous uuid NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    accesses bytea NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    -- A batch of a hundred accesses is a row of this table, not a row of another one.
    toast_tuple_target = 8160
);
-- It is short as it is: compressing it costs more than it saves.
ALTER TABLE access_journal ALTER COLUMN accesses SET STORAGE EXTERNAL;
