-- No row holds a count of 0 or less: what falls to 0 goes in the same transaction. These are from before that was so.
DELETE FROM container_pull_metrics WHERE pull_count <= 0;
DELETE FROM container_access_metrics WHERE event_count <= 0;
