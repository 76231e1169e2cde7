-- Images whose near copies were not looked for, although the library was searched: those of an ingest that was killed
-- before it did, of an import, or stored while the library was searched.
CREATE OR REPLACE VIEW imrec_internal.unsearched WITH (security_invoker = true) AS
SELECT d.image_id
FROM imrec.difference_hash AS d
INNER JOIN imrec.perceptual_hash AS p ON d.image_id = p.image_id
LEFT JOIN imrec.duplicate_seen AS s ON d.image_id = s.image_id
WHERE s.image_id IS null AND EXISTS (SELECT FROM imrec.duplicate_search);

COMMENT ON VIEW imrec_internal.unsearched IS 'Images whose near copies were not looked for yet.';
