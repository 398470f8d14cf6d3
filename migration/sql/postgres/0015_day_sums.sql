-- The sums of days that are over, as servers that keep sums in memory pack them: a start reads these in the place of the
-- counts. They are those of the counts as long as `version` is the day's version and `watch` what watches over versions;
-- whatever is missing, or in a format that a server does not know, is made again.
CREATE TABLE IF NOT EXISTS day_sums (
    kind text COLLATE "C" NOT NULL,
    day date NOT NULL,
    watch bigint NOT NULL,
    version bigint NOT NULL,
    format text NOT NULL,
    sums bytea NOT NULL,
    PRIMARY KEY (kind, day)
);
-- They are packed already.
ALTER TABLE day_sums ALTER COLUMN sums SET STORAGE EXTERNAL;
