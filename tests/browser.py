"""A headless Chromium for tests of what people see in a browser; it reaches this machine alone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_REQUIRED = "IMREC_TEST_BROWSER"  # "required": a test fails where it would be skipped, as .ci/run wants it
_PATIENCE_MS = 60_000
_ARGUMENTS = (
    # WebGL without a graphics card.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    # Whatever a page asks for, no name but this machine's is even looked up.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Yield the system's Chromium or Chrome; skip the test where there is none: nothing is downloaded."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if find_spec("playwright") is None:
        _skip("Playwright drives the browser: the extra [dev]")
    if program is None:
        _skip(f"no browser: none of {', '.join(_NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root.
        root = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=[*_ARGUMENTS, *root])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def quiet_page(browser: "Browser") -> Iterator["Page"]:
    """Yield a page; at the end it must have asked for nothing elsewhere, opened no dialog, thrown no error."""
    from playwright.sync_api import Dialog, Request

    trouble: list[str] = []

    def requested(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            trouble.append(f"asked for {request.url}")

    def opened(dialog: Dialog) -> None:
        trouble.append(f"opened a dialog: {dialog.message}")
        dialog.dismiss()

    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(_PATIENCE_MS)
    page.on("request", requested)
    page.on("dialog", opened)
    page.on("pageerror", lambda error: trouble.append(f"threw {error}"))
    try:
        yield page
    finally:
        page.close()
    assert not trouble, "; ".join(trouble)


def _skip(reason: str) -> None:
    if os.environ.get(_REQUIRED) == "required":
        pytest.fail(f"{reason}, and {_REQUIRED} says that browser tests must run")
    pytest.skip(reason)
