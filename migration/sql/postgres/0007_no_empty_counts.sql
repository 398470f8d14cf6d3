-- No row holds a count of 0 or less: what falls to 0 goes in the same transaction, and what would fall below is an error.
-- The rights are those of whoever changes the count; the table is found wherever it has moved to.
CREATE OR REPLACE FUNCTION remove_empty_pull() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.pull_count < 0 THEN
        RAISE EXCEPTION 'a count would be %', NEW.pull_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'counts_are_above_zero';
    END IF;
    IF TG_RELID = to_regclass('container_pull_metrics') THEN
        DELETE FROM container_pull_metrics WHERE id = NEW.id AND pull_count <= 0;
    ELSE
        EXECUTE format('DELETE FROM %s WHERE id = $1 AND pull_count <= 0', TG_RELID::regclass) USING NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION remove_empty_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.event_count < 0 THEN
        RAISE EXCEPTION 'a count would be %', NEW.event_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'counts_are_above_zero';
    END IF;
    IF TG_RELID = to_regclass('container_access_metrics') THEN
        DELETE FROM container_access_metrics WHERE id = NEW.id AND event_count <= 0;
    ELSE
        EXECUTE format('DELETE FROM %s WHERE id = $1 AND event_count <= 0', TG_RELID::regclass) USING NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER remove_empty AFTER INSERT OR UPDATE ON container_pull_metrics
    FOR EACH ROW WHEN (NEW.pull_count <= 0) EXECUTE FUNCTION remove_empty_pull();
CREATE OR REPLACE TRIGGER remove_empty AFTER INSERT OR UPDATE ON container_access_metrics
    FOR EACH ROW WHEN (NEW.event_count <= 0) EXECUTE FUNCTION remove_empty_access();
ALTER TABLE container_pull_metrics ENABLE ALWAYS TRIGGER remove_empty;
ALTER TABLE container_access_metrics ENABLE ALWAYS TRIGGER remove_empty;

-- The rows that are there already.
DELETE FROM container_pull_metrics WHERE pull_count <= 0;
DELETE FROM container_access_metrics WHERE event_count <= 0;
