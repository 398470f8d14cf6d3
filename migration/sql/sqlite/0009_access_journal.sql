-- What the classifier needs to know of the accesses of the last minutes, one row per batch. Each batch is counted knowing
-- all before it, so that the counts are the same on any number of servers and after a restart. Its rows are short-lived.
-- `accesses` holds ids, times and names of accesses, and a hash of each client. `recorded_at` is in microseconds since
-- the Unix epoch.
CREATE TABLE IF NOT EXISTS access_journal (
    position INTEGER PRIMARY KEY,
    batch BLOB NOT NULL,
    previous BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    accesses BLOB NOT NULL
) STRICT;
