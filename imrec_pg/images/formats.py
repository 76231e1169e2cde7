"""Image formats: which are read, which only recognised, and how names and signatures tell them apart."""

# Pillow opens these and nothing else: its other decoders are its riskiest part, and with all of them hostile
# files took up to 654 MB, with these 108. JPEG covers MPO.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# These too, each by its own decoder alone: TGA has no signature, and PCX hardly one, so that Pillow would take
# them for what many a broken file is. From the name that recognise() gives to Pillow's.
SINGLE_FORMATS = {
    "TGA": "TGA",
    "PCX": "PCX",
    "PPM": "PPM",
    "ICO": "ICO",
    "DDS": "DDS",
    "Photoshop": "PSD",
    "JPEG 2000": "JPEG2000",
    "QOI": "QOI",
}

PILLOW_EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif jif mpo png apng webp gif bmp dib tif tiff".split(),
)
HEIC_EXTENSIONS = frozenset(b"heic heics heif heifs hif".split())
AVIF_EXTENSIONS = frozenset(b"avif avifs".split())

# .raw is left out: more often it is the image of a disk than a photo.
RAW_EXTENSIONS = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 srf "
    b"srw x3f".split(),
)

SINGLE_EXTENSIONS = frozenset(
    b"tga pcx ppm pgm pbm pnm pfm ico dds psd jp2 j2k j2c jpc jpf jpx jpm qoi".split(),
)

READ_EXTENSIONS = PILLOW_EXTENSIONS | SINGLE_EXTENSIONS | HEIC_EXTENSIONS | AVIF_EXTENSIONS | RAW_EXTENSIONS

OTHER_EXTENSIONS = frozenset(
    b"jxl psb icns pam sgi rgb rgba bw xbm xpm fit fits fts exr hdr".split(),
)
"""Images to a person, but not read by imrec-pg: such a file becomes a failure that says so."""

VIDEO_EXTENSIONS = frozenset(
    b"3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts vob webm wmv".split(),
)

CANDIDATE_EXTENSIONS = READ_EXTENSIONS | OTHER_EXTENSIONS

HEAD_SIZE = 64
"""How many bytes identify() needs from the start of a file."""

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
# A digit for the kind, f for floats, and white space.
_PPM = tuple(b"P%c%c" % (kind, space) for kind in b"123456f" for space in b" \t\r\n")
_OTHER_SIGNATURES = (
    *((signature, "PPM") for signature in _PPM),
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
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"IIU\0", "RW2"),
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"FOVb", "X3F"),
    (b"\0MRM", "MRW"),
)
_BRANDS = {b"crx ": "CR3", b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)


def extension(name: bytes) -> bytes:
    """Return what follows the last dot of a name or path, in lower case; empty without a dot."""
    _, dot, last = name.rpartition(b".")
    return last.lower() if dot and b"/" not in last else b""


def identify(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce: "JPEG", "HEIC", "CR2", …, or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[8:10] == b"CR" and head[:4] in {b"II*\0", b"MM\0*"}:
        return "CR2"
    if head[4:8] == b"ftyp":
        # The brand mif1 says only "some still image"; the compatible ones that follow tell AVIF apart.
        is_avif = head[8:12] == b"mif1" and b"avif" in head[16:HEAD_SIZE]
        return "AVIF" if is_avif else _BRANDS.get(head[8:12])
    for signature, name in _READ_SIGNATURES + _OTHER_SIGNATURES:
        if head.startswith(signature):
            return name
    return None


def recognise(head: bytes, suffix: bytes) -> str | None:
    """Return the format of a file with this head and extension, or None if neither tells.

    The content decides before the name: a file called .heic is often a JPEG. But NEF, ARW, DNG, PEF and SRW
    look like any TIFF (their first picture is a thumbnail of 160 x 120), so there the name decides.
    """
    found = identify(head)
    if suffix in RAW_EXTENSIONS and found in {None, "TIFF"}:
        return suffix.decode().upper()
    # They have no signature worth the name.
    if found is None and suffix in {b"tga", b"pcx"}:
        return suffix.decode().upper()
    if found is None and suffix in OTHER_EXTENSIONS:
        return suffix.decode().upper()
    return found


def is_video(head: bytes, suffix: bytes) -> bool:
    """Return whether a file with this head and extension, which is no image that is read, is a video."""
    if identify(head) is not None:
        return False
    return (
        suffix in VIDEO_EXTENSIONS
        or head[4:8] == b"ftyp"
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"FLV\1"))  # Matroska and WebM, MPEG, Flash
    )


def is_raw(name: str | None) -> bool:
    """Return whether a format is a camera raw; RAW is one that looks like a TIFF, from an unknown camera."""
    return name == "RAW" or (name is not None and name.lower().encode() in RAW_EXTENSIONS)


def webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height from the header of a WebP (RFC 9649), or 0, 0 if it has none."""
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"VP8 ":
            sides = int.from_bytes(head[26:30], "little")
            return sides & 0x3FFF, sides >> 16 & 0x3FFF
        case b"VP8L":
            sides = int.from_bytes(head[21:25], "little")
            return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
        case _:
            return 0, 0


def cut_short(data: bytes) -> bool:
    """Return whether a file that failed to decode lacks its end; False also if that cannot be told."""
    found = identify(data[:HEAD_SIZE])
    match found:
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
            return found in {"HEIC", "AVIF", "CR3"} and _last_box_is_cut(data)


def _last_box_is_cut(data: bytes) -> bool:
    """Return whether a box of an ISO base media file (ISO/IEC 14496-12) ends beyond the data."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size == 1:  # a 64-bit size follows the type
            size = int.from_bytes(data[at + 8 : at + 16])
        if size < 8:  # noqa: PLR2004 - 0 is "to the end", the rest is nonsense
            return False
        at += size
    return at > len(data)
