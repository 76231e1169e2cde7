-- One row a file whose image has all features: path, metadata and features.
-- Inner joins throughout: with outer joins ORDER BY embedding <=> … LIMIT k sorts the whole table instead of
-- walking the HNSW index. security_invoker: otherwise row-level security would take the view's owner for the
-- reader, and show everybody everything.
CREATE OR REPLACE VIEW imrec.photo WITH (security_invoker = true) AS
SELECT
    file.path,
    file.image_id,
    file.file_id,
    file.root_id,
    image.size,
    image.width,
    image.height,
    image.format,
    image.taken_at,
    image.camera_make,
    image.camera_model,
    image.truncated,
    embedding.embedding,
    histogram.histogram,
    average_hash.average_hash,
    difference_hash.difference_hash,
    perceptual_hash.perceptual_hash,
    to_timestamp(file.mtime_ns / 1e9) AS modified_at
FROM imrec.file
INNER JOIN imrec.image ON file.image_id = image.image_id
INNER JOIN imrec.embedding ON file.image_id = embedding.image_id
INNER JOIN imrec.histogram ON file.image_id = histogram.image_id
INNER JOIN imrec.average_hash ON file.image_id = average_hash.image_id
INNER JOIN imrec.difference_hash ON file.image_id = difference_hash.image_id
INNER JOIN imrec.perceptual_hash ON file.image_id = perceptual_hash.image_id;

COMMENT ON VIEW imrec.photo IS
'One row a file whose image has all features. Most alike first: SELECT path FROM imrec.photo '
'ORDER BY embedding <=> (SELECT embedding FROM imrec.photo WHERE path = ''/photos/a.jpg'' LIMIT 1) LIMIT 5';
