-- For questions about a digest, tag or architecture in all repositories.
CREATE INDEX IF NOT EXISTS idx_digest ON container_pull_metrics (digest);
CREATE INDEX IF NOT EXISTS idx_tag_date ON container_pull_metrics (tag, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_arch_date ON container_pull_metrics (architecture, pull_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_digest ON container_access_metrics (digest);
CREATE INDEX IF NOT EXISTS idx_access_tag_date ON container_access_metrics (tag, event_date DESC);
CREATE INDEX IF NOT EXISTS idx_access_arch_date ON container_access_metrics (architecture, event_date DESC);
