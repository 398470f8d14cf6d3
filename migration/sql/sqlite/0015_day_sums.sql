-- The sums of days that are over, as servers that keep sums in memory pack them: a start reads these in the place of the
-- counts. They are those of the counts as long as `version` is the day's version and `watch` what watches over versions;
-- whatever is missing, or in a format that a server does not know, is made again.
CREATE TABLE IF NOT EXISTS day_sums (
    kind text NOT NULL,
    day text NOT NULL,
    watch integer NOT NULL,
    version integer NOT NULL,
    format text NOT NULL,
    sums blob NOT NULL,
    PRIMARY KEY (kind, day)
);
