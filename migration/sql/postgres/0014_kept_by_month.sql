-- What is kept by month, in one row: the counts of days before `days_before` stand on the first day of their month, those
-- of days before `digests_before` without their digests. Each is the first of a month, and only moves on. What changes
-- counts of these days later reads it under an advisory lock that moving and folding take too.
CREATE TABLE IF NOT EXISTS kept_by_month (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    days_before date NOT NULL,
    digests_before date NOT NULL
);
