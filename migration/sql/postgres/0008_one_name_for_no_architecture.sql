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
