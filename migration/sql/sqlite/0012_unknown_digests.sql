-- Rows of the Go staticreg, brought in from elsewhere, that tell no digest.
INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT pull_date, repo_name, tag, 'unknown:0', architecture, pull_count, created_at, updated_at
FROM container_pull_metrics WHERE digest = ''
ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
    pull_count = pull_count + excluded.pull_count,
    created_at = min(created_at, excluded.created_at),
    updated_at = max(updated_at, excluded.updated_at);
DELETE FROM container_pull_metrics WHERE digest = '';
