-- The file by which an image is shown: one that is not missing rather than one that is, one in a root mounted
-- on this host (SET imrec.host = …) rather than elsewhere, and then the first by path. copies: how many files
-- hold the image.
CREATE OR REPLACE VIEW imrec_internal.image_file WITH (security_invoker = true) AS
SELECT
    f.image_id,
    count(*) AS copies,
    (array_agg(f.file_id ORDER BY m.file_id IS NOT null, h.root_id IS null, f.path, f.file_id))[1] AS file_id,
    (array_agg(f.path ORDER BY m.file_id IS NOT null, h.root_id IS null, f.path, f.file_id))[1] AS path
FROM imrec.file AS f
LEFT JOIN imrec.mount AS h ON f.root_id = h.root_id AND h.host = current_setting('imrec.host', true)
LEFT JOIN imrec.missing AS m ON f.file_id = m.file_id
GROUP BY f.image_id;

COMMENT ON VIEW imrec_internal.image_file IS 'The file by which an image is shown, and how many hold it.';
