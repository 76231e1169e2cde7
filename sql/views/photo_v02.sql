-- One row a file whose image has all its features: path, metadata and the four features.
-- Inner joins throughout: with outer joins ORDER BY embedding <=> … LIMIT k sorts the whole table
-- instead of walking the HNSW index.
-- It reads with the caller's rights: else row-level security would take the view's owner for the reader, and
-- show everybody everything.
CREATE OR REPLACE VIEW imrec.photo WITH (security_invoker = true) AS
SELECT
    location.path,
    location.image_id,
    location.location_id,
    location.root_id,
    image.bytes,
    image.width,
    image.height,
    image.format,
    image.taken_at,
    image.camera_make,
    image.camera_model,
    embedding.embedding,
    histogram.histogram,
    hash.average_hash,
    hash.difference_hash,
    to_timestamp(location.mtime_ns / 1e9) AS modified_at
FROM imrec.location
INNER JOIN imrec.image ON location.image_id = image.image_id
INNER JOIN imrec.embedding ON location.image_id = embedding.image_id
INNER JOIN imrec.histogram ON location.image_id = histogram.image_id
INNER JOIN imrec.hash ON location.image_id = hash.image_id;

COMMENT ON VIEW imrec.photo IS
'One row a file whose image has all its features. '
'Most alike first: SELECT path FROM imrec.photo ORDER BY embedding <=> '
'(SELECT embedding FROM imrec.photo WHERE path = ''/photos/a.jpg'' LIMIT 1) LIMIT 5';
