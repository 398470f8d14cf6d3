-- The whole schema, from this folder: sqlite3 FILE < schema.sql
.read 0001_container_pull_metrics.sql
.read 0002_container_access_metrics.sql
.read 0003_recorded_event.sql
.read 0004_day_version.sql
.read 0005_question_indexes.sql
.read 0006_random_versions.sql
.read 0007_no_empty_counts.sql
.read 0008_one_name_for_no_architecture.sql
.read 0009_access_journal.sql
.read 0010_recorded_event_archive.sql
.read 0011_api_token.sql
.read 0012_unknown_digests.sql
.read 0013_day_change.sql
.read 0014_kept_by_month.sql
.read 0015_day_sums.sql
.read 0016_running_images.sql
