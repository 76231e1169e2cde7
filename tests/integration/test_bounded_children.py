"""The children that decode queries: without the rights of root, and not believed."""

import os
import sys

import pytest

from imrec_pg.bounded import Children, DiedError, ProcessLimits
from imrec_pg.decoding import load_libraries

LIMITS = ProcessLimits(2**30, 20)


class Command:
    """Unpickled, it would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


def hostile() -> Command:
    return Command()


def enormous() -> bytes:
    return bytes(17 * 2**20)


def load() -> None:
    """Import this module, too, while a child of root's may read it."""
    load_libraries()


@pytest.fixture
def children() -> Children:
    return Children(1, load)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root's children become nobody")
def test_a_child_of_root_is_nobody(children: Children) -> None:
    assert children.submit(LIMITS, 60, os.geteuid).result() not in {0, os.geteuid()}
    with pytest.raises(DiedError):  # its error is no result
        children.submit(LIMITS, 60, os.setuid, 0).result()
    children.close()


@pytest.mark.parametrize("function", [hostile, enormous])
def test_what_is_no_result_is_refused(children: Children, function: object) -> None:
    with pytest.raises(DiedError):
        children.submit(LIMITS, 60, function).result()  # type: ignore[arg-type]
    assert children.submit(LIMITS, 60, os.getpid).result() != os.getpid()
    children.close()
