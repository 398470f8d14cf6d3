-- Nothing: a file has one writer at a time, and nobody waits for another to note a day.
SELECT 1;
