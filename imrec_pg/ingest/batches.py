"""Cut a stream into lists."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of size items, the last one shorter; itertools has it from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
