-- Puts those candidates of pg_temp.duplicate_candidate on which two signals agree (imrec_internal.duplicate_limit),
-- with their evidence, into pg_temp.duplicate_found. Hashes of pictures without detail have no vote. A burst: same
-- camera, up to ten seconds apart; within one second also, when format and size are the same and the hashes differ.
-- Raw: a camera raw beside a picture of the same name without its suffix.
CREATE OR REPLACE FUNCTION imrec_internal.judge_duplicates(strictness text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '16MB'
AS $$
DECLARE
    most CONSTANT imrec_internal.duplicate_limit := imrec_internal.limit_of(strictness);
BEGIN
    CREATE TEMP TABLE duplicate_evidence ON COMMIT DROP AS
    SELECT c.image_id, c.other_id,
        imrec_internal.hash_distance(a.average_hash, oa.average_hash)::smallint AS average_bits,
        imrec_internal.hash_distance(d.difference_hash, od.difference_hash)::smallint AS difference_bits,
        imrec_internal.hash_distance(p.perceptual_hash, op.perceptual_hash)::smallint AS perceptual_bits,
        e.embedding OPERATOR(pgvector.<=>) oe.embedding AS embedding,
        h.histogram OPERATOR(pgvector.<=>) oh.histogram AS histogram,
        coalesce(imrec_internal.detailed(d.difference_hash) AND imrec_internal.detailed(od.difference_hash), false) AS votes
    FROM (SELECT DISTINCT image_id, other_id FROM pg_temp.duplicate_candidate) AS c
    LEFT JOIN imrec.average_hash AS a ON a.image_id = c.image_id
    LEFT JOIN imrec.average_hash AS oa ON oa.image_id = c.other_id
    LEFT JOIN imrec.difference_hash AS d ON d.image_id = c.image_id
    LEFT JOIN imrec.difference_hash AS od ON od.image_id = c.other_id
    LEFT JOIN imrec.perceptual_hash AS p ON p.image_id = c.image_id
    LEFT JOIN imrec.perceptual_hash AS op ON op.image_id = c.other_id
    LEFT JOIN imrec.embedding AS e ON e.image_id = c.image_id
    LEFT JOIN imrec.embedding AS oe ON oe.image_id = c.other_id
    LEFT JOIN imrec.histogram AS h ON h.image_id = c.image_id
    LEFT JOIN imrec.histogram AS oh ON oh.image_id = c.other_id;
    ANALYZE pg_temp.duplicate_evidence;
    CREATE TEMP TABLE duplicate_found ON COMMIT DROP AS
    WITH kept AS (
        SELECT n.*, i.taken_at - o.taken_at AS apart,
            i.camera_make IS NOT DISTINCT FROM o.camera_make AND i.camera_model = o.camera_model AS same_camera,
            (i.width, i.height, i.format) = (o.width, o.height, o.format) AS same_shape
        FROM pg_temp.duplicate_evidence AS n
        INNER JOIN imrec.image AS i ON i.image_id = n.image_id
        INNER JOIN imrec.image AS o ON o.image_id = n.other_id
        WHERE n.votes AND n.difference_bits <= most.difference_bits AND n.perceptual_bits <= most.perceptual_bits
            OR n.votes AND imrec_internal.hashes_agree(n.difference_bits, n.perceptual_bits, most)
                AND n.embedding <= most.embedding
            OR n.embedding <= most.embedding_alone AND n.histogram <= most.histogram
    ),
    raw AS (
        SELECT k.image_id, k.other_id FROM kept AS k
        INNER JOIN imrec.file AS f ON f.image_id = k.image_id
        INNER JOIN imrec.file AS o ON o.image_id = k.other_id AND o.root_id = f.root_id
            AND regexp_replace(o.path, '\.[^./]*$', '') = regexp_replace(f.path, '\.[^./]*$', '')
        INNER JOIN imrec.image AS i ON i.image_id = k.image_id
        INNER JOIN imrec.image AS j ON j.image_id = k.other_id
        WHERE imrec_internal.is_raw(i.format) <> imrec_internal.is_raw(j.format)
    )
    SELECT k.image_id, k.other_id, k.average_bits, k.difference_bits, k.perceptual_bits, k.embedding, k.histogram,
        CASE
            WHEN (k.image_id, k.other_id) IN (SELECT r.image_id, r.other_id FROM raw AS r) THEN 'raw'
            WHEN k.same_camera AND k.apart BETWEEN '-10s' AND '10s'
                AND (k.apart <> '0' OR k.same_shape AND k.difference_bits + k.perceptual_bits > 3) THEN 'burst'
            ELSE 'copy'
        END AS kind
    FROM kept AS k;
    DROP TABLE pg_temp.duplicate_evidence;
    TRUNCATE pg_temp.duplicate_candidate;
END;
$$;

COMMENT ON FUNCTION imrec_internal.judge_duplicates(text) IS
'Puts the candidates on which two signals agree, with their evidence, into pg_temp.duplicate_found.';
