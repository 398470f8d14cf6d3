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
