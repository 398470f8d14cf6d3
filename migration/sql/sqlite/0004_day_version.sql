-- How often the counts of a day and kind have changed, whoever changed them. A server that read a day's counts knows by
-- it whether they are still what it read.
CREATE TABLE IF NOT EXISTS day_version (
    kind text NOT NULL,
    day text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (kind, day)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS note_inserted_pull AFTER INSERT ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES ('pull_by_tag', NEW.pull_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_updated_pull AFTER UPDATE ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES ('pull_by_tag', NEW.pull_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_deleted_pull AFTER DELETE ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES ('pull_by_tag', OLD.pull_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_moved_pull AFTER UPDATE OF pull_date ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES ('pull_by_tag', OLD.pull_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_inserted_access AFTER INSERT ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES (NEW.kind, NEW.event_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_updated_access AFTER UPDATE ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES (NEW.kind, NEW.event_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_deleted_access AFTER DELETE ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES (OLD.kind, OLD.event_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER IF NOT EXISTS note_moved_access AFTER UPDATE OF event_date, kind ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day, version) VALUES (OLD.kind, OLD.event_date, 1)
        ON CONFLICT DO UPDATE SET version = version + 1;
END;

-- The counts that are there already.
INSERT INTO day_version (kind, day, version)
SELECT 'pull_by_tag', pull_date, 1 FROM container_pull_metrics GROUP BY pull_date
UNION ALL
SELECT kind, event_date, 1 FROM container_access_metrics GROUP BY kind, event_date
ON CONFLICT DO NOTHING;
