-- Versions of days are drawn, not counted up: none ever comes back. After a restore or a fail-over to an older state, or
-- when someone puts rows here by hand, a version that repeats would stand for other counts.
ALTER TABLE day_version ALTER COLUMN version SET DEFAULT (random() * 9e15)::bigint + 1;

-- With temporary tables last on the way, once.
SELECT set_config('search_path', regexp_replace(current_setting('search_path'), '(, pg_temp)*$', ', pg_temp'), false);

CREATE OR REPLACE FUNCTION note_changed_pulls() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_version (kind, day)
    SELECT DISTINCT 'pull_by_tag', pull_date FROM changed ORDER BY pull_date
    ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_changed_accesses() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO day_version (kind, day)
    SELECT DISTINCT kind, event_date FROM changed ORDER BY kind, event_date
    ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_changed_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM day_version ORDER BY kind, day FOR UPDATE;
    UPDATE day_version SET version = DEFAULT;
    RETURN NULL;
END $$;

-- Whatever version someone writes, a new one is drawn; a server that notes the days itself draws it itself.
CREATE OR REPLACE FUNCTION draw_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := (random() * 9e15)::bigint + 1;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER draw_version BEFORE INSERT OR UPDATE ON day_version
    FOR EACH ROW WHEN (current_setting('staticreg.notes_days', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION draw_version();

-- No day loses its version: without one its counts would not be seen.
CREATE OR REPLACE FUNCTION keep_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO day_version (kind, day) SELECT kind, day FROM gone ORDER BY kind, day ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO day_version (kind, day)
        SELECT DISTINCT 'pull_by_tag', pull_date FROM container_pull_metrics
        UNION ALL
        SELECT DISTINCT kind, event_date FROM container_access_metrics
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER keep_deleted AFTER DELETE ON day_version
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION keep_days();
CREATE OR REPLACE TRIGGER keep_truncated AFTER TRUNCATE ON day_version
    FOR EACH STATEMENT EXECUTE FUNCTION keep_days();

-- Also where others are told to leave triggers out (session_replication_role).
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT tgrelid::regclass AS place, tgname FROM pg_trigger
        WHERE NOT tgisinternal AND (tgname LIKE 'note\_%' OR tgname LIKE 'keep\_%' OR tgname = 'draw_version')
            AND tgrelid IN ('container_pull_metrics'::regclass, 'container_access_metrics'::regclass,
                'day_version'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.place, found.tgname);
    END LOOP;
END $$;

-- The versions that are there already.
UPDATE day_version SET version = DEFAULT;
