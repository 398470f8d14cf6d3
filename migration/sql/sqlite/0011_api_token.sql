-- What lets programs in: for each token the SHA-256 of its secret, which is random, so that the secret cannot be read back.
-- `ended_at` is when it was revoked, or when its name was given to another after it had expired.
CREATE TABLE IF NOT EXISTS api_token (
    hash blob PRIMARY KEY NOT NULL,
    name text NOT NULL,
    scopes text NOT NULL,
    created_at text NOT NULL,
    expires_at text,
    ended_at text,
    last_used_at text
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_api_token_name ON api_token (name) WHERE ended_at IS NULL;
