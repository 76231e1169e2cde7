"""From what a decoder raised to the kind and the reason of a DecodeError."""

from PIL import Image, UnidentifiedImageError

from imrec_pg.images import formats

_MAX_REASON = 500
# What libheif and libavif say, who raise no MemoryError.
_NO_MEMORY = ("memory allocation error", "out of memory")


def explain(error: Exception, data: bytes) -> tuple[str, str]:
    """Return the kind and the reason; data is what was decoded."""
    text = one_line(str(error)) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return "TooManyPixels", text
    if isinstance(error, MemoryError) or text.lower().startswith(_NO_MEMORY):
        return "OutOfMemory", "not enough memory to decode the image"
    if isinstance(error, ImportError):
        return "DecoderMissing", f"its decoder does not load: {text}"
    if isinstance(error, UnidentifiedImageError):
        found = formats.identify(data[: formats.HEAD_SIZE])
        if found is None:
            return "NotAnImage", "the content is no image"
        text = f"it begins like {found}, but its header is broken or of an unknown variant"
    if isinstance(error, NotImplementedError) or text.startswith("Unsupported"):
        return "UnsupportedFormat", text
    if text.startswith("decoder error"):
        text = f"the data are broken ({text})"
    return "Truncated" if "truncated" in text.lower() or formats.cut_short(data) else "Corrupt", text


def one_line(text: str) -> str:
    """Return text that Postgres stores and a log shows on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_REASON]
