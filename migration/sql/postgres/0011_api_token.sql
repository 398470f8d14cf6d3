-- What lets programs in: for each token the SHA-256 of its secret, which is random, so that the secret cannot be read back.
-- `ended_at` is when it was revoked, or when its name was given to another after it had expired. Who may write here lets
-- in whom they like: a server needs no more than to read, and to write `last_used_at`.
CREATE TABLE IF NOT EXISTS api_token (
    hash bytea PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    scopes text COLLATE "C" NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    ended_at timestamp with time zone,
    last_used_at timestamp with time zone
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_api_token_name ON api_token (name) WHERE ended_at IS NULL;
