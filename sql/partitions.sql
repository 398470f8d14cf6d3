-- Gives container_pull_metrics a partition for each month: psql -d staticreg -v ON_ERROR_STOP=1 -f sql/partitions.sql
--
-- docs/adr/0011-no-partitions.md says why one hardly wants this, docs/retention.md what to do before and after. It is
-- applied by the owner of the table, to the schema as it is now (`staticreg migrate`), while no server runs. It copies all
-- rows; the old table stays as container_pull_metrics_whole, to be dropped by hand.

BEGIN;

LOCK TABLE container_pull_metrics;
ALTER TABLE container_pull_metrics RENAME TO container_pull_metrics_whole;

-- The key of a table with partitions holds what these are told apart by.
CREATE TABLE container_pull_metrics (
    LIKE container_pull_metrics_whole INCLUDING DEFAULTS INCLUDING IDENTITY,
    PRIMARY KEY (id, pull_date),
    UNIQUE (pull_date, repo_name, tag, digest, architecture)
) PARTITION BY RANGE (pull_date);

-- The sequence of the ids goes with the new table. One of an identity is there anew, and begins behind the last id.
DO $$
DECLARE
    ids text := pg_get_serial_sequence('container_pull_metrics_whole', 'id');
    own text := pg_get_serial_sequence('container_pull_metrics', 'id');
    behind bigint := (SELECT coalesce(max(id), 0) + 1 FROM container_pull_metrics_whole);
BEGIN
    IF own IS NOT NULL THEN
        PERFORM setval(own, behind, false);
    ELSIF ids IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s OWNED BY container_pull_metrics.id', ids);
    END IF;
END $$;

-- Never a default partition: rows that fall into it keep their month from being made, and each new month reads all of it.
-- Where a month is missing staticreg answers 503, and the registry sends the events again.
CREATE OR REPLACE FUNCTION make_month_of_pulls(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', day);
    name text := 'container_pull_metrics_' || to_char(day, 'YYYY_MM');
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF container_pull_metrics FOR VALUES FROM (%L) TO (%L) '
        'WITH (fillfactor = 80)', name, first, (first + interval '1 month')::date);
END $$;

-- What is older than all rows, which events of clocks that are wrong may be; then every month with rows, those between,
-- and a year to come.
DO $$
DECLARE
    first date := date_trunc('month', coalesce((SELECT min(pull_date) FROM container_pull_metrics_whole), current_date));
    last date := greatest((SELECT max(pull_date) FROM container_pull_metrics_whole), current_date + 366);
BEGIN
    EXECUTE format('CREATE TABLE container_pull_metrics_older PARTITION OF container_pull_metrics '
        'FOR VALUES FROM (MINVALUE) TO (%L)', first);
    PERFORM make_month_of_pulls(day::date) FROM generate_series(first, last, interval '1 month') AS day;
END $$;

INSERT INTO container_pull_metrics SELECT * FROM container_pull_metrics_whole;

-- Names of indexes and triggers are those of the table's migrations, so that they find them. The old ones give way.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT indexrelid::regclass AS index, relname AS name, pg_get_indexdef(indexrelid) AS definition
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'container_pull_metrics_whole'::regclass AND NOT indisunique
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', found.index, left(found.name, 50) || '_of_whole');
        EXECUTE replace(found.definition, 'container_pull_metrics_whole', 'container_pull_metrics');
    END LOOP;
    -- Those for each row: PostgreSQL gives them to every partition, also to later ones.
    FOR found IN
        SELECT tgname AS name, pg_get_triggerdef(oid) AS definition FROM pg_trigger
        WHERE tgrelid = 'container_pull_metrics_whole'::regclass AND NOT tgisinternal AND tgtype & 1 = 1
    LOOP
        EXECUTE replace(found.definition, 'container_pull_metrics_whole', 'container_pull_metrics');
        EXECUTE format('ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER %I', found.name);
    END LOOP;
    -- Rights too.
    FOR found IN
        SELECT grantee, privilege_type AS privilege FROM information_schema.role_table_grants
        WHERE table_name = 'container_pull_metrics_whole' AND table_schema = current_schema() AND grantee <> current_user
    LOOP
        EXECUTE format('GRANT %s ON container_pull_metrics TO %s', found.privilege,
            CASE found.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(found.grantee) END);
    END LOOP;
END $$;

COMMIT;

ANALYZE container_pull_metrics;
