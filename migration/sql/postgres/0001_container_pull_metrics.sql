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

CREATE INDEX IF NOT EXISTS idx_pull_date ON container_pull_metrics (pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_date ON container_pull_metrics (repo_name, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_repo_arch_date ON container_pull_metrics (repo_name, architecture, pull_date DESC);

-- Counts are updated over and over, and no index holds what changes: room in the page keeps the updates off the indexes.
ALTER TABLE container_pull_metrics SET (fillfactor = 80);
