"""Do by halves what the server cancels for its time limit."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from psycopg import errors as pg

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parts(items: Sequence[Item], function: Callable[[Sequence[Item]], Result]) -> list[Result]:
    """Return function(items), or what it returns for each part, where the server cancels the whole.

    A server may limit how long a statement takes (statement_timeout); one that an administrator cancels looks
    just the same. One item alone is not tried again.
    """
    try:
        return [function(items)]
    except pg.QueryCanceled:
        if len(items) <= 1:
            raise
    half = len(items) // 2
    logger.debug("the server cancelled a statement over %d rows; trying %d", len(items), half)
    return in_parts(items[:half], function) + in_parts(items[half:], function)
