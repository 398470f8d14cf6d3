-- The schema of staticreg, for PostgreSQL 15 or newer: psql -d staticreg -f sql/event_schema.sql
--
-- It may be applied again, to a database that holds an older schema, and to one that holds the table of the Go staticreg:
-- rows stay. Whoever applies it owns the tables; the program then needs no right to make any.
--
-- Made by `make schema` from migration/sql/postgres; do not edit.

BEGIN;

-- 0001_container_pull_metrics

-- Pulls by tag: one row per date, repository, tag, digest and architecture.
-- A table of the same name that is there already is taken over with its rows.
CREATE TABLE IF NOT EXISTS container_pull_metrics (
    id bigserial PRIMARY KEY,
    pull_date date NOT NULL,
    repo_name text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    architecture text COLLATE "C" NOT NULL,
    pull_count integer NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (pull_date, repo_name, tag, digest, architecture)
);

-- The first one of the Go staticreg had no digest, and one row for all. Its key may be its primary key.
DO $$
DECLARE
    narrow record;
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = 'container_pull_metrics'::regclass AND attname = 'digest' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    ALTER TABLE container_pull_metrics ADD COLUMN digest text COLLATE "C" NOT NULL DEFAULT 'unknown:0';
    ALTER TABLE container_pull_metrics ALTER COLUMN digest DROP DEFAULT;
    FOR narrow IN
        SELECT indexrelid::regclass AS name, conname FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid
        WHERE indrelid = 'container_pull_metrics'::regclass AND indisunique AND indnkeyatts > 1
    LOOP
        IF narrow.conname IS NULL THEN
            EXECUTE format('DROP INDEX %s', narrow.name);
        ELSE
            EXECUTE format('ALTER TABLE container_pull_metrics DROP CONSTRAINT %I', narrow.conname);
        END IF;
    END LOOP;
    ALTER TABLE container_pull_metrics ADD UNIQUE (pull_date, repo_name, tag, digest, architecture);
    IF NOT EXISTS (SELECT FROM pg_attribute
                   WHERE attrelid = 'container_pull_metrics'::regclass AND attname = 'id' AND NOT attisdropped) THEN
        ALTER TABLE container_pull_metrics ADD COLUMN id bigserial PRIMARY KEY;
    ELSIF NOT EXISTS (SELECT FROM pg_index
                      WHERE indrelid = 'container_pull_metrics'::regclass AND indisprimary) THEN
        ALTER TABLE container_pull_metrics ADD PRIMARY KEY (id);
    END IF;
END $$;

CREATE INDEX IF NOT EXISTS idx_pull_date ON container_pull_metrics (pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_date ON container_pull_metrics (repo_name, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_arch_date ON container_pull_metrics (repo_name, architecture, pull_date DESC);

-- Counts are updated over and over, and no index holds what changes: room in the page keeps the updates off the indexes.
-- One with partitions has no pages of its own.
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'container_pull_metrics'::regclass) = 'r' THEN
        ALTER TABLE container_pull_metrics SET (fillfactor = 80);
    END IF;
END $$;

-- 0002_container_access_metrics

-- The other kinds of access: version checks, pulls by digest, pushes. The tag is empty where the access named none.
CREATE TABLE IF NOT EXISTS container_access_metrics (
    id bigserial PRIMARY KEY,
    event_date date NOT NULL,
    repo_name text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    architecture text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    event_count integer NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (event_date, repo_name, tag, digest, architecture, kind)
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS idx_access_date ON container_access_metrics (event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_date ON container_access_metrics (repo_name, event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_arch_date
    ON container_access_metrics (repo_name, architecture, event_date DESC);

-- 0003_recorded_event

-- The ids of the events recorded lately: an event whose id is here changes nothing.
-- Rows are only added and removed, and looked up by index alone: there is nothing to gain from a vacuum after inserts.
CREATE TABLE IF NOT EXISTS recorded_event (
    id uuid PRIMARY KEY,
    recorded_at timestamp with time zone NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX IF NOT EXISTS idx_recorded_at ON recorded_event (recorded_at);

-- 0004_day_version

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

-- 0005_question_indexes

-- For questions about a digest, tag or architecture in all repositories.
CREATE INDEX IF NOT EXISTS idx_digest ON container_pull_metrics (digest);
CREATE INDEX IF NOT EXISTS idx_tag_date ON container_pull_metrics (tag, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_arch_date ON container_pull_metrics (architecture, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_digest ON container_access_metrics (digest);
CREATE INDEX IF NOT EXISTS idx_access_tag_date ON container_access_metrics (tag, event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_arch_date ON container_access_metrics (architecture, event_date DESC);

-- 0006_random_versions

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

-- 0007_no_empty_counts

-- No row holds a count of 0 or less: what falls to 0 goes in the same transaction, and what would fall below is an error.
-- The rights are those of whoever changes the count; the table is found wherever it has moved to.
CREATE OR REPLACE FUNCTION remove_empty_pull() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.pull_count < 0 THEN
        RAISE EXCEPTION 'a count would be %', NEW.pull_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'counts_are_above_zero';
    END IF;
    IF TG_RELID = to_regclass('container_pull_metrics') THEN
        DELETE FROM container_pull_metrics WHERE id = NEW.id AND pull_count <= 0;
    ELSE
        EXECUTE format('DELETE FROM %s WHERE id = $1 AND pull_count <= 0', TG_RELID::regclass) USING NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION remove_empty_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.event_count < 0 THEN
        RAISE EXCEPTION 'a count would be %', NEW.event_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'counts_are_above_zero';
    END IF;
    IF TG_RELID = to_regclass('container_access_metrics') THEN
        DELETE FROM container_access_metrics WHERE id = NEW.id AND event_count <= 0;
    ELSE
        EXECUTE format('DELETE FROM %s WHERE id = $1 AND event_count <= 0', TG_RELID::regclass) USING NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER remove_empty AFTER INSERT OR UPDATE ON container_pull_metrics
    FOR EACH ROW WHEN (NEW.pull_count <= 0) EXECUTE FUNCTION remove_empty_pull();
CREATE OR REPLACE TRIGGER remove_empty AFTER INSERT OR UPDATE ON container_access_metrics
    FOR EACH ROW WHEN (NEW.event_count <= 0) EXECUTE FUNCTION remove_empty_access();
ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER remove_empty;
ALTER TABLE container_access_metrics ENABLE ALWAYS TRIGGER remove_empty;

-- The rows that are there already.
DELETE FROM container_pull_metrics WHERE pull_count <= 0;
DELETE FROM container_access_metrics WHERE event_count <= 0;

-- 0008_one_name_for_no_architecture

-- What nobody told is `not-specified`. The Go staticreg, which may still write beside this one, says `unknown`: such a row
-- is added to that of `not-specified`, whether it is inserted with a rule for conflicts or without.
CREATE OR REPLACE FUNCTION fold_architecture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        EXECUTE format('DELETE FROM %s WHERE id = $1', TG_RELID::regclass) USING NEW.id;
    END IF;
    NEW.architecture := 'not-specified';
    EXECUTE format('INSERT INTO %s AS kept SELECT ($1).* '
        'ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET '
        'pull_count = kept.pull_count + excluded.pull_count, '
        'created_at = least(kept.created_at, excluded.created_at), '
        'updated_at = greatest(kept.updated_at, excluded.updated_at)', TG_RELID::regclass) USING NEW;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER fold_inserted BEFORE INSERT ON container_pull_metrics
    FOR EACH ROW WHEN (NEW.architecture IN ('unknown', '')) EXECUTE FUNCTION fold_architecture();
CREATE OR REPLACE TRIGGER fold_updated AFTER UPDATE OF architecture ON container_pull_metrics
    FOR EACH ROW WHEN (NEW.architecture IN ('unknown', '')) EXECUTE FUNCTION fold_architecture();
ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER fold_inserted;
ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER fold_updated;

-- The rows that are there already; others may be written in capitals, or as what is no name at all.
WITH names AS MATERIALIZED (
    SELECT architecture AS written,
        CASE WHEN lower(architecture) = 'unknown' OR architecture !~ '^[A-Za-z0-9_.-]{1,32}$' THEN 'not-specified'
            ELSE lower(architecture) END AS name
    FROM (SELECT DISTINCT architecture FROM container_pull_metrics) AS given
), odd AS (
    DELETE FROM container_pull_metrics USING names
    WHERE architecture = names.written AND names.written <> names.name
    RETURNING pull_date, repo_name, tag, digest, names.name, pull_count, created_at, updated_at
)
INSERT INTO container_pull_metrics AS kept
    (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT pull_date, repo_name, tag, digest, name, least(sum(pull_count), 2147483647), min(created_at), max(updated_at)
FROM odd GROUP BY pull_date, repo_name, tag, digest, name
ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
    pull_count = least(kept.pull_count::bigint + excluded.pull_count, 2147483647),
    created_at = least(kept.created_at, excluded.created_at),
    updated_at = greatest(kept.updated_at, excluded.updated_at);

-- 0009_access_journal

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

-- 0010_recorded_event_archive

-- The ids of events that were recorded hours ago, packed: a row and two entries of indexes for each take seven times the
-- room, and as ids are random, they are all over the table. A repeat of an event carries its timestamp too, which tells
-- the bucket. Those recorded before there were buckets stay rows until they are forgotten.
ALTER TABLE recorded_event ADD COLUMN IF NOT EXISTS bucket bigint;
CREATE INDEX IF NOT EXISTS idx_recorded_event_in_bucket ON recorded_event (recorded_at) WHERE bucket IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_recorded_event_in_none ON recorded_event (recorded_at) WHERE bucket IS NULL;
DROP INDEX IF EXISTS idx_recorded_at;

CREATE TABLE IF NOT EXISTS recorded_event_archive (
    bucket bigint NOT NULL,
    part uuid NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    ids bytea NOT NULL,
    PRIMARY KEY (bucket, part)
);
-- Random bytes cannot be compressed.
ALTER TABLE recorded_event_archive ALTER COLUMN ids SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS idx_recorded_event_archive_recorded_at ON recorded_event_archive (recorded_at);

-- 0011_api_token

-- What lets programs in: for each token the SHA-256 of its secret, which is random, so that the secret cannot be read back.
-- `ended_at` is when it was revoked, or when its name was given to another after it had expired. Who may write here lets
-- in whom they like: a server needs no more than to read, and to write `last_used_at`.
CREATE TABLE IF NOT EXISTS api_token (
    hash bytea PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    scopes text COLLATE "C" NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    ended_at timestamp with time zone,
    last_used_at timestamp with time zone
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_api_token_name ON api_token (name) WHERE ended_at IS NULL;

-- 0012_unknown_digests

-- Rows of the Go staticreg that tell no digest; it may write some still.
WITH odd AS (
    DELETE FROM container_pull_metrics WHERE digest = ''
    RETURNING pull_date, repo_name, tag, architecture, pull_count, created_at, updated_at
)
INSERT INTO container_pull_metrics AS kept
    (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT pull_date, repo_name, tag, 'unknown:0', architecture, pull_count, created_at, updated_at FROM odd
ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
    pull_count = least(kept.pull_count::bigint + excluded.pull_count, 2147483647),
    created_at = least(kept.created_at, excluded.created_at),
    updated_at = greatest(kept.updated_at, excluded.updated_at);

CREATE OR REPLACE FUNCTION fill_digest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.digest := 'unknown:0';
    RETURN NEW;
END $$;

-- Before the one that folds architectures, whose row it changes: triggers fire in the order of their names.
CREATE OR REPLACE TRIGGER fill_digest BEFORE INSERT ON container_pull_metrics
    FOR EACH ROW WHEN (NEW.digest = '') EXECUTE FUNCTION fill_digest();
ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER fill_digest;

-- 0013_day_change

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

-- 0014_kept_by_month

-- What is kept by month, in one row: the counts of days before `days_before` stand on the first day of their month, those
-- of days before `digests_before` without their digests. Each is the first of a month, and only moves on. What changes
-- counts of these days later reads it under an advisory lock that moving and folding take too.
CREATE TABLE IF NOT EXISTS kept_by_month (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    days_before date NOT NULL,
    digests_before date NOT NULL
);

-- 0015_day_sums

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

-- 0016_running_images

-- What runs somewhere, as each source told it last: the images' references, one a line. What runs is not told to be deleted.
CREATE TABLE IF NOT EXISTS running_images (
    source text COLLATE "C" PRIMARY KEY,
    heard_at timestamp with time zone NOT NULL,
    images text NOT NULL
);

-- So that the program takes the schema for what it is.
CREATE TABLE IF NOT EXISTS seaql_migrations (
    version character varying NOT NULL PRIMARY KEY,
    applied_at bigint NOT NULL
);
INSERT INTO seaql_migrations VALUES ('0001_container_pull_metrics', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0002_container_access_metrics', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0003_recorded_event', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0004_day_version', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0005_question_indexes', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0006_random_versions', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0007_no_empty_counts', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0008_one_name_for_no_architecture', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0009_access_journal', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0010_recorded_event_archive', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0011_api_token', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0012_unknown_digests', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0013_day_change', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0014_kept_by_month', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0015_day_sums', extract(epoch FROM now())) ON CONFLICT DO NOTHING;
INSERT INTO seaql_migrations VALUES ('0016_running_images', extract(epoch FROM now())) ON CONFLICT DO NOTHING;

COMMIT;
