-- The other kinds of access: version checks, pulls by digest, pushes. The tag is empty where the access named none.
CREATE TABLE IF NOT EXISTS container_access_metrics (
    id integer PRIMARY KEY AUTOINCREMENT,
    event_date text NOT NULL,
    repo_name text NOT NULL,
    tag text NOT NULL,
    digest text NOT NULL,
    architecture text NOT NULL,
    kind text NOT NULL,
    event_count integer NOT NULL DEFAULT 1 CHECK (event_count BETWEEN -2147483648 AND 2147483647),
    created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    updated_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    UNIQUE (event_date, repo_name, tag, digest, architecture, kind)
);

CREATE INDEX IF NOT EXISTS idx_access_date ON container_access_metrics (event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_date ON container_access_metrics (repo_name, event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_arch_date
    ON container_access_metrics (repo_name, architecture, event_date DESC);
