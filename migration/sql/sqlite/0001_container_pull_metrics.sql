-- Pulls by tag: one row per date, repository, tag, digest and architecture.
-- Dates and times are text that sorts by time: 2026-11-21, 2026-11-21T09:30:00.000000Z.
CREATE TABLE IF NOT EXISTS container_pull_metrics (
    id integer PRIMARY KEY AUTOINCREMENT,
    pull_date text NOT NULL,
    repo_name text NOT NULL,
    tag text NOT NULL,
    digest text NOT NULL,
    architecture text NOT NULL,
    pull_count integer NOT NULL DEFAULT 1 CHECK (pull_count BETWEEN -2147483648 AND 2147483647),
    created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    updated_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    UNIQUE (pull_date, repo_name, tag, digest, architecture)
);

CREATE INDEX IF NOT EXISTS idx_pull_date ON container_pull_metrics (pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_date ON container_pull_metrics (repo_name, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_arch_date ON container_pull_metrics (repo_name, architecture, pull_date DESC);
