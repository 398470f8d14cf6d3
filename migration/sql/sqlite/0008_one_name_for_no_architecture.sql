-- What nobody told is `not-specified`. Rows of the Go staticreg, brought in from elsewhere, say `unknown`: such a row is
-- added to that of `not-specified`.
CREATE TRIGGER IF NOT EXISTS fold_inserted AFTER INSERT ON container_pull_metrics
WHEN NEW.architecture IN ('unknown', '')
BEGIN
    DELETE FROM container_pull_metrics WHERE id = NEW.id;
    INSERT INTO container_pull_metrics
        (id, pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
    VALUES (NEW.id, NEW.pull_date, NEW.repo_name, NEW.tag, NEW.digest, 'not-specified', NEW.pull_count,
        NEW.created_at, NEW.updated_at)
    ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
        pull_count = pull_count + excluded.pull_count,
        created_at = min(created_at, excluded.created_at),
        updated_at = max(updated_at, excluded.updated_at);
END;

CREATE TRIGGER IF NOT EXISTS fold_updated AFTER UPDATE OF architecture ON container_pull_metrics
WHEN NEW.architecture IN ('unknown', '')
BEGIN
    DELETE FROM container_pull_metrics WHERE id = NEW.id;
    INSERT INTO container_pull_metrics
        (id, pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
    VALUES (NEW.id, NEW.pull_date, NEW.repo_name, NEW.tag, NEW.digest, 'not-specified', NEW.pull_count,
        NEW.created_at, NEW.updated_at)
    ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
        pull_count = pull_count + excluded.pull_count,
        created_at = min(created_at, excluded.created_at),
        updated_at = max(updated_at, excluded.updated_at);
END;

-- The rows that are there already.
INSERT INTO container_pull_metrics
    (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT pull_date, repo_name, tag, digest, 'not-specified', sum(pull_count), min(created_at), max(updated_at)
FROM container_pull_metrics WHERE lower(architecture) IN ('unknown', '')
GROUP BY pull_date, repo_name, tag, digest
ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
    pull_count = pull_count + excluded.pull_count,
    created_at = min(created_at, excluded.created_at),
    updated_at = max(updated_at, excluded.updated_at);
DELETE FROM container_pull_metrics WHERE lower(architecture) IN ('unknown', '');
