-- What is kept by month, in one row: the counts of days before `days_before` stand on the first day of their month, those
-- of days before `digests_before` without their digests. Each is the first of a month, and only moves on.
CREATE TABLE IF NOT EXISTS kept_by_month (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    days_before text NOT NULL,
    digests_before text NOT NULL
);
