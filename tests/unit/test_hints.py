"""Errors speak of the library; the command line adds what to do there."""

from pathlib import Path

import pytest

from imrec_pg import errors
from imrec_pg.cli.hints import with_hint


def test_a_hint_follows_the_text() -> None:
    error = errors.UnknownRootError("photos")
    assert with_hint(error) == f"{error} (imrec-pg root list shows them)"


def test_a_hint_takes_what_the_error_carries() -> None:
    text = with_hint(errors.NoIndexError("embedding", "cosine"))
    assert text.endswith("(imrec-pg index build embedding cosine)")


def test_the_hint_of_the_nearest_base_class_counts() -> None:
    assert "--allow-other-weights" in with_hint(
        errors.OtherModelWeightsError(Path("a.pth"), "0" * 64, ["1" * 64])
    )
    assert "--dsn" not in with_hint(errors.ServerStoppedError(Path("/data")))


def test_an_error_without_a_hint_stays_as_it_is() -> None:
    assert with_hint(errors.UsageError("k is {error} 0")) == "k is {error} 0"
    assert with_hint(errors.DatabaseUnreachableError("lost {0}")) == "lost {0}"


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownRootError("photos"),
        errors.RootExistsError("photos"),
        errors.UnknownRoleError("anna"),
        errors.ImageNotFoundError("/photos/a.jpg"),
        errors.NoIndexError("histogram", "cosine"),
    ],
)
def test_wrong_arguments_are_usage_errors_and_name_no_command(error: errors.ImrecError) -> None:
    assert isinstance(error, errors.UsageError)
    assert error.exit_code == 2
    assert "--" not in str(error)
    assert "imrec-pg" not in str(error)
