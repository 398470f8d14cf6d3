-- The table as the Go staticreg makes it.
CREATE TABLE container_pull_metrics (
    id BIGSERIAL PRIMARY KEY,
    pull_date DATE NOT NULL,
    repo_name TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    architecture TEXT NOT NULL,
    pull_count INTEGER NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (pull_date, repo_name, tag, digest, architecture)
);
CREATE INDEX idx_pull_date ON container_pull_metrics (pull_date DESC);
CREATE INDEX idx_repo_date ON container_pull_metrics (repo_name, pull_date DESC);
CREATE INDEX idx_repo_arch_date ON container_pull_metrics (repo_name, architecture, pull_date DESC);
