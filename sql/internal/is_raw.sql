-- Whether a format is that of a camera raw.
CREATE OR REPLACE FUNCTION imrec_internal.is_raw(format text)
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT is_raw.format IN (
        'RAW', '3FR', 'ARW', 'CR2', 'CR3', 'CRW', 'DCR', 'DNG', 'ERF', 'FFF', 'GPR', 'IIQ', 'K25', 'KDC', 'MEF', 'MOS',
        'MRW', 'NEF', 'NRW', 'ORF', 'PEF', 'RAF', 'RW2', 'RWL', 'SR2', 'SRF', 'SRW', 'X3F'
    );
END;

COMMENT ON FUNCTION imrec_internal.is_raw(text) IS 'Whether a format is that of a camera raw.';
