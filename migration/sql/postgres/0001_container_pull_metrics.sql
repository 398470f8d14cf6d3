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
