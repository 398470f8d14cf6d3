-- Days whose counts others than a server have changed, a row for each statement of theirs. Nobody waits for a row of this
-- table, so those who change several counts in a transaction do not wait for each other because of the day. A server adds
-- them to day_version now and then: until then a day's version is made of both.
CREATE TABLE IF NOT EXISTS day_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL DEFAULT (random() * 9e15)::bigint + 1
);

-- With temporary tables last on the way, once.
SELECT set_config('search_path', regexp_replace(current_setting('search_path'), '(, pg_temp)*$', ', pg_temp'), false);

CREATE OR REPLACE FUNCTION note_changed_pulls() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_change (kind, day) SELECT DISTINCT 'pull_by_tag', pull_date FROM changed;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_changed_accesses() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_change (kind, day) SELECT DISTINCT kind, event_date FROM changed;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_changed_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_change (kind, day) SELECT kind, day FROM day_version UNION SELECT kind, day FROM day_change;
    RETURN NULL;
END $$;

-- What goes from here is a new version there, whoever lets it go. Days in order: no deadlocks.
CREATE OR REPLACE FUNCTION fold_day_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO day_version (kind, day) SELECT DISTINCT kind, day FROM gone ORDER BY kind, day
        ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version;
    ELSE
        INSERT INTO day_version (kind, day)
        SELECT 'pull_by_tag', pull_date FROM container_pull_metrics
        UNION
        SELECT kind, event_date FROM container_access_metrics
        UNION
        SELECT kind, day FROM day_version
        ORDER BY 1, 2
        ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER fold_deleted AFTER DELETE ON day_change
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION fold_day_changes();
CREATE OR REPLACE TRIGGER fold_truncated AFTER TRUNCATE ON day_change
    FOR EACH STATEMENT EXECUTE FUNCTION fold_day_changes();
ALTER TABLE day_change ENABLE ALWAYS TRIGGER fold_deleted;
ALTER TABLE day_change ENABLE ALWAYS TRIGGER fold_truncated;
