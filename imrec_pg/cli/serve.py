"""imrec-pg serve."""

import signal
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, Size, database_options, invocation, model_options, print_line, say

_STATEMENT_S = 55  # a little less than a request may take
_CACHE_SIZE = 1_000_000_000


@click.command(
    "serve",
    epilog="""\b
Examples:
  imrec-pg serve --open                   the page, in a browser on this machine
  imrec-pg serve --host 0.0.0.0           for other machines, which need the token that is printed
  IMREC_TOKEN=… imrec-pg serve            with a token of your own, 16 characters or more
  curl -H 'Content-Type: image/jpeg' --data-binary @a.jpg http://127.0.0.1:8765/api/v1/search
  curl http://127.0.0.1:8765/api/v1/openapi.json""",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen on this address."
)
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for any free one."
)
@click.option(
    "--token",
    envvar="IMREC_TOKEN",
    metavar="TOKEN",
    help="Demand this token (IMREC_TOKEN; others on this machine can see arguments). Without it, other addresses than "
    "127.0.0.1 get a random one.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Answer to this name of the machine, too; may be repeated.",
)
@click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Keep thumbnails here.  [default: imrec-pg's cache folder of the user]",
)
@click.option(
    "--cache-size",
    type=Size(),
    default=_CACHE_SIZE,
    metavar="SIZE",
    help="Keep so much of them.  [default: 1GB]",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@model_options
@database_options
def command(
    *,
    host: str,
    port: int,
    token: str | None,
    allowed: tuple[str, ...],
    cache: Path | None,
    cache_size: int,
    opened: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
) -> None:
    """Serve a page to look at photos, and a REST API, until Ctrl-C.

    On 127.0.0.1 whoever is on this machine may ask. On any other address each request must show a token. Photos are
    only read; with the rights of a reader everything works but what people say of duplicates.
    """
    from imrec_pg.library import Library
    from imrec_pg.settings import cache_dir
    from imrec_pg.web import server
    from imrec_pg.web.access import access
    from imrec_pg.web.app import make_app

    settings = replace(invocation().settings(weights), statement_timeout_s=_STATEMENT_S)
    with server.listen(host, port) as listening:
        port = listening.getsockname()[1]
        required = access(host, port, token, allowed)
        page = f"http://{_shown(host)}:{port}/"
        address = page if required.token is None else f"{page}login?token={required.token}"

        def on_start() -> None:
            print_line(address)
            if required.token is not None:
                say("the token is part of the address: keep it to yourself; it is sent unencrypted")
            if opened:
                webbrowser.open(address)

        if sys.platform != "win32":
            # As Ctrl-C: what was begun is ended.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        with Library(settings, device=device, allow_other_weights=allow_other_weights) as library:
            app = make_app(library, required, cache or cache_dir() / "thumbnails", cache_size)
            try:
                server.run(app, listening, on_start)
            except KeyboardInterrupt:
                say("stopped")


def _shown(host: str) -> str:
    from imrec_pg.settings import this_host

    if host in {"0.0.0.0", "::"}:  # noqa: S104 - the user said so
        return this_host()
    return f"[{host}]" if ":" in host else host
