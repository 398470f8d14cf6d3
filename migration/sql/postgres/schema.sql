-- The whole schema: psql -1 -f schema.sql
\ir 0001_container_pull_metrics.sql
\ir 0002_container_access_metrics.sql
\ir 0003_recorded_event.sql
\ir 0004_day_version.sql
\ir 0005_question_indexes.sql
\ir 0006_random_versions.sql
\ir 0007_no_empty_counts.sql
\ir 0008_one_name_for_no_architecture.sql
\ir 0009_access_journal.sql
\ir 0010_recorded_event_archive.sql
\ir 0011_api_token.sql
\ir 0012_unknown_digests.sql
\ir 0013_day_change.sql
\ir 0014_kept_by_month.sql
\ir 0015_day_sums.sql
\ir 0016_running_images.sql
