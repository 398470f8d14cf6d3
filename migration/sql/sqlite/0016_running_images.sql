-- What runs somewhere, as each source told it last: the images' references, one a line. What runs is not told to be deleted.
CREATE TABLE IF NOT EXISTS running_images (
    source text PRIMARY KEY NOT NULL,
    heard_at text NOT NULL,
    images text NOT NULL
);
