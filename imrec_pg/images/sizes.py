"""The sizes that the headers of a file claim, checked before that many pixels are decoded."""

from dataclasses import dataclass

from imrec_pg.errors import DecodeError


@dataclass(slots=True)
class Sizes:
    """One file's.

    Attributes:
        name: the file, for messages.
        limit: of width times height.
        most: pixels of the largest so far.
    """

    name: str
    limit: int
    most: int = 0

    def check(self, width: int, height: int) -> None:
        """Take note of one.

        Raises:
            DecodeError: it is over the limit.
        """
        self.most = max(self.most, width * height)
        if width * height > self.limit:
            reason = f"{width} x {height} pixels, more than the limit of {self.limit:,}"
            raise DecodeError(self.name, "TooManyPixels", reason)
