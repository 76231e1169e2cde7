"""What the routes share: the library, the pools of threads, and the images that were sent."""

import base64
import binascii
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request

from imrec_pg.library import Library
from imrec_pg.search.query import KnownImage, Query
from imrec_pg.web.bodies import Bodies
from imrec_pg.web.pictures import Pictures
from imrec_pg.web.pools import Pool, Remembered

_MOST_SENT = 256


@dataclass(frozen=True, slots=True)
class Sent:
    """An image that was sent, and a small picture of it as WebP."""

    known: KnownImage
    picture: bytes


class SentImages:
    """The last images that were sent: 30 kB each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: OrderedDict[UUID, Sent] = OrderedDict()

    def add(self, sent: Sent) -> None:
        """Keep an image, and forget the one longest unused where there are too many."""
        with self._lock:
            self._all[sent.known.image_id] = sent
            self._all.move_to_end(sent.known.image_id)
            while len(self._all) > _MOST_SENT:
                self._all.popitem(last=False)

    def get(self, image_id: UUID) -> Sent | None:
        """Return an image that was sent, if it is still known."""
        with self._lock:
            if image_id in self._all:
                self._all.move_to_end(image_id)
            return self._all.get(image_id)

    def queries(self, image_ids: Sequence[UUID]) -> list[Query]:
        """Return images by their ids as the library takes them: what was sent, and else what is stored."""
        found = [self.get(image_id) for image_id in image_ids]
        return [
            image_id if sent is None else sent.known for image_id, sent in zip(image_ids, found, strict=True)
        ]


@dataclass(slots=True)
class Context:
    """What the routes share.

    Attributes:
        queries: threads that ask the database.
        work: threads for pictures and what takes long, so that searches don't wait for those.
        streams: pages that listen to events.
    """

    library: Library
    pictures: Pictures
    queries: Pool
    work: Pool
    bodies: Bodies = field(default_factory=Bodies)
    sent: SentImages = field(default_factory=SentImages)
    duplicates: Remembered[Any] = field(default_factory=lambda: Remembered(30))
    maps: Remembered[Any] = field(default_factory=lambda: Remembered(60))
    running: Remembered[Any] = field(default_factory=lambda: Remembered(1.5))
    streams: int = 0


def of(request: Request) -> Context:
    """Return the context of the app that answers a request."""
    found = request.app.state.context
    assert isinstance(found, Context)
    return found


def cursor(number: int) -> str:
    """Return a cursor that stands for how many items came before."""
    return base64.urlsafe_b64encode(f"n{number}".encode()).decode()


def number_of(given: str | None, most: int) -> int:
    """Return how many items came before.

    Raises:
        HTTPException: it is no cursor.
    """
    if given is None:
        return 0
    try:
        read = base64.urlsafe_b64decode(given.encode()).decode()
        number = int(read[1:]) if read[:1] == "n" and read[1:].isascii() and read[1:].isdigit() else -1
    except (ValueError, binascii.Error):
        number = -1
    if not 0 <= number <= most:
        raise HTTPException(422, "after is what the page before gave as next")
    return number
