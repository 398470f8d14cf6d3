-- The other kinds of access: version checks, pulls by digest, pushes. The tag is empty where the access named none.
CREATE TABLE IF NOT EXISTS container_access_metrics (
    id bigserial PRIMARY KEY,
    event_date date NOT NULL,
    repo_name text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    architecture text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    event_count integer NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (event_date, repo_name, tag, digest, architecture, kind)
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS idx_access_date ON container_access_metrics (event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_date ON container_access_metrics (repo_name, event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_repo_arch_date
    ON container_access_metrics (repo_name, architecture, event_date DESC);
