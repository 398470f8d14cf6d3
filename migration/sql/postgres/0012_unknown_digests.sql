-- Rows of the Go staticreg that tell no digest.
UPDATE container_pull_metrics SET digest = 'unknown:0' WHERE digest = '';
