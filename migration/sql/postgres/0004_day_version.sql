-- How often the counts of a day and kind have changed, whoever changed them. A server that read a day's counts knows by
-- it whether they are still what it read.
CREATE TABLE IF NOT EXISTS day_version (
    kind text COLLATE "C" NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (kind, day)
) WITH (fillfactor = 50);

-- As the owner, so that who changes counts by hand needs no right to this table; with temporary tables last on the way,
-- where nobody can put one in its place. Days in order: no deadlocks. A server that says so notes the days itself, in the
-- statement that changes them, which costs less.
SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', false);

CREATE OR REPLACE FUNCTION note_changed_pulls() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_version AS kept (kind, day, version)
    SELECT DISTINCT 'pull_by_tag', pull_date, 1 FROM changed ORDER BY pull_date
    ON CONFLICT (kind, day) DO UPDATE SET version = kept.version + 1;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_changed_accesses() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_version AS kept (kind, day, version)
    SELECT DISTINCT kind, event_date, 1 FROM changed ORDER BY kind, event_date
    ON CONFLICT (kind, day) DO UPDATE SET version = kept.version + 1;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER note_inserted AFTER INSERT ON container_pull_metrics
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_pulls();
CREATE OR REPLACE TRIGGER note_updated AFTER UPDATE ON container_pull_metrics
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_pulls();
CREATE OR REPLACE TRIGGER note_deleted AFTER DELETE ON container_pull_metrics
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_pulls();

CREATE OR REPLACE TRIGGER note_inserted AFTER INSERT ON container_access_metrics
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_accesses();
CREATE OR REPLACE TRIGGER note_updated AFTER UPDATE ON container_access_metrics
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_accesses();
CREATE OR REPLACE TRIGGER note_deleted AFTER DELETE ON container_access_metrics
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT
    WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION note_changed_accesses();

-- Only by hand is a count moved to another day or kind, or are all thrown away; then every day may have changed.
CREATE OR REPLACE FUNCTION note_changed_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM day_version ORDER BY kind, day FOR UPDATE;
    UPDATE day_version SET version = version + 1;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER note_moved AFTER UPDATE OF pull_date ON container_pull_metrics
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE OR REPLACE TRIGGER note_moved AFTER UPDATE OF event_date, kind ON container_access_metrics
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE OR REPLACE TRIGGER note_truncated AFTER TRUNCATE ON container_pull_metrics
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE OR REPLACE TRIGGER note_truncated AFTER TRUNCATE ON container_access_metrics
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();

-- The counts that are there already; the triggers keep others from changing them meanwhile.
INSERT INTO day_version (kind, day, version)
SELECT 'pull_by_tag', pull_date, 1 FROM container_pull_metrics GROUP BY pull_date
UNION ALL
SELECT kind, event_date, 1 FROM container_access_metrics GROUP BY kind, event_date
ON CONFLICT DO NOTHING;
