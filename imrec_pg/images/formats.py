"""Image formats: which are read, which only recognised, and how to tell them by name and by signature."""

# Pillow opens these and nothing else: its other decoders are the riskiest part of it, and with all of them
# hostile files took up to 654 MB where these take 108. JPEG covers MPO.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

READ_EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif jif mpo png apng webp gif bmp dib tif tiff".split(),
)

# .raw is left out: more often the image of a disk than of a camera.
RAW_EXTENSIONS = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 srf "
    b"srw x3f".split(),
)

OTHER_EXTENSIONS = RAW_EXTENSIONS | frozenset(
    b"heic heics heif heifs hif avif avifs jxl jp2 j2k j2c jpc jpf jpx jpm psd psb tga ico icns dds pcx "
    b"ppm pgm pbm pnm pfm pam qoi sgi rgb rgba bw xbm xpm fit fits fts exr hdr".split(),
)
"""What a person calls a photo or an image, but imrec-pg does not read: it becomes a failure that says so."""

CANDIDATE_EXTENSIONS = READ_EXTENSIONS | OTHER_EXTENSIONS

HEAD_SIZE = 64
"""How many first bytes identify() looks at."""

_READ_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHER_SIGNATURES = (
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"icns", "ICNS"),
    (b"\0\0\1\0", "ICO"),
    (b"SIMPLE  =", "FITS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"MMOR", "camera raw (ORF)"),
    (b"FOVb", "camera raw (X3F)"),
    (b"\0MRM", "camera raw (MRW)"),
)
_BRANDS = {b"crx ": "camera raw (CR3)", b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)


def extension(name: bytes) -> bytes:
    """Return what follows the last dot of a name or path, in lower case; empty without a dot."""
    _, dot, last = name.rpartition(b".")
    return last.lower() if dot and b"/" not in last else b""


def identify(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce: one of PILLOW_FORMATS, another, or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[8:10] == b"CR" and head[:4] in {b"II*\0", b"MM\0*"}:
        return "camera raw (CR2)"
    if head[4:8] == b"ftyp":
        # The brand mif1 says only "some still image"; the compatible ones that follow tell AVIF apart.
        is_avif = head[8:12] == b"mif1" and b"avif" in head[16:HEAD_SIZE]
        return "AVIF" if is_avif else _BRANDS.get(head[8:12])
    for signature, name in _READ_SIGNATURES + _OTHER_SIGNATURES:
        if head.startswith(signature):
            return name
    return None


def refusal(head: bytes, suffix: bytes) -> str | None:
    """Return why a file of this beginning and extension is not read, or None where decoding is worth a try.

    Contents go before the name: what is called .heic is often a JPEG. But NEF, ARW, DNG, PEF and SRW look
    like any TIFF, whose first picture is a thumbnail of 160 x 120, so there the name decides.
    """
    found = identify(head)
    if found == "TIFF" and suffix in RAW_EXTENSIONS:
        found = f"camera raw ({suffix.decode().upper()})"
    if found is None and suffix in OTHER_EXTENSIONS:
        found = suffix.decode().upper()
    return None if found is None or found in PILLOW_FORMATS else advice(found)


def advice(name: str) -> str:
    """Return what to do about a format that is not read."""
    return f"{name} images are not read by imrec-pg yet; convert them to JPEG"


def cut_short(data: bytes) -> bool:
    """Return whether a file that failed to decode lacks its end; False also where that cannot be told."""
    match identify(data[:HEAD_SIZE]):
        case "JPEG":
            return b"\xff\xd9" not in data
        case "PNG":
            return b"IEND" not in data
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
        case _:
            return False
