-- Versions of days are drawn, not counted up: none ever comes back. When a backup takes the place of the file, or someone
-- removes rows here, a version that repeats would stand for other counts.
DROP TRIGGER IF EXISTS keep_deleted_day;
DROP TABLE day_version;
CREATE TABLE day_version (
    kind text NOT NULL,
    day text NOT NULL,
    version integer NOT NULL DEFAULT (random() | 1),
    PRIMARY KEY (kind, day)
) WITHOUT ROWID;

DROP TRIGGER IF EXISTS note_inserted_pull;
CREATE TRIGGER note_inserted_pull AFTER INSERT ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES ('pull_by_tag', NEW.pull_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_updated_pull;
CREATE TRIGGER note_updated_pull AFTER UPDATE ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES ('pull_by_tag', NEW.pull_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_deleted_pull;
CREATE TRIGGER note_deleted_pull AFTER DELETE ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES ('pull_by_tag', OLD.pull_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_moved_pull;
CREATE TRIGGER note_moved_pull AFTER UPDATE OF pull_date ON container_pull_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES ('pull_by_tag', OLD.pull_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_inserted_access;
CREATE TRIGGER note_inserted_access AFTER INSERT ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES (NEW.kind, NEW.event_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_updated_access;
CREATE TRIGGER note_updated_access AFTER UPDATE ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES (NEW.kind, NEW.event_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_deleted_access;
CREATE TRIGGER note_deleted_access AFTER DELETE ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES (OLD.kind, OLD.event_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

DROP TRIGGER IF EXISTS note_moved_access;
CREATE TRIGGER note_moved_access AFTER UPDATE OF event_date, kind ON container_access_metrics
BEGIN
    INSERT INTO day_version (kind, day) VALUES (OLD.kind, OLD.event_date)
        ON CONFLICT DO UPDATE SET version = excluded.version;
END;

-- No day loses its version: without one its counts would not be seen.
CREATE TRIGGER keep_deleted_day AFTER DELETE ON day_version
BEGIN
    INSERT INTO day_version (kind, day) VALUES (OLD.kind, OLD.day) ON CONFLICT DO NOTHING;
END;

-- The counts that are there already.
INSERT INTO day_version (kind, day)
SELECT 'pull_by_tag', pull_date FROM container_pull_metrics GROUP BY pull_date
UNION ALL
SELECT kind, event_date FROM container_access_metrics GROUP BY kind, event_date;
