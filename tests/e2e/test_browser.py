"""The browser of the tests reaches this machine alone, and notices what a page tries."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import quiet_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_it_draws_in_three_dimensions(page: "Page") -> None:
    page.set_content("<canvas></canvas>")
    assert page.evaluate("document.querySelector('canvas').getContext('webgl2') !== null")


@pytest.mark.parametrize(
    ("markup", "noticed"),
    [
        ("<img src='http://example.com/a.png'>", "asked for http://example.com/a.png"),
        ("<script>alert('hello')</script>", "opened a dialog: hello"),
        ("<script>throw new Error('no')</script>", "threw no"),
    ],
)
def test_it_notices_what_a_page_should_not_do(
    markup: str, noticed: str, browser: "Browser", tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(markup)
    with pytest.raises(AssertionError, match=noticed), quiet_page(browser) as page:
        page.goto((tmp_path / "page.html").as_uri())
