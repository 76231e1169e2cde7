"""The ingester under test: the library as anybody uses it, with a log of what it was told is stored.

Run as `python -c "from faults.ingester import main; main()" ORDERS`. Each batch goes to the log before it is
written ("try") and once write_batch has returned ("done"), before anything else happens; each decode goes to
another file, from the worker that does it.
"""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from imrec_pg import decoding
from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import Session
from imrec_pg.errors import DecodeError, ImrecError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import FileContent, Limits
from imrec_pg.ingest import extract, pipeline, write
from imrec_pg.ingest.pipeline import IngestOptions, ingest
from imrec_pg.ingest.tally import Tally
from imrec_pg.ingest.write import Merged
from imrec_pg.records import FailedFile, Feature, Metric, StoredImage
from imrec_pg.settings import Settings

if TYPE_CHECKING:
    from imrec_pg.extraction import Extracted

_DECODES, _DECODE_S = "IMREC_FAULTS_DECODES", "IMREC_FAULTS_DECODE_S"


FEATURES = ("histogram", "average_hash", "difference_hash")
"""Those that need no model, and that faults.checks computes by itself."""


@dataclass(frozen=True)
class Orders:
    """What to ingest, and where.

    Attributes:
        dsn: of the database; "" for the server of data_dir.
        log: the file of batches; that of decodes has .decodes at its end.
        decode_s: how long each decode takes at least.
        decode_limit_s: after which a decoder counts as hanging.
        index: whether to build an index at the end, as the command does.
    """

    folders: tuple[str, ...]
    log: str
    dsn: str = ""
    data_dir: str = "/nonexistent"
    features: tuple[str, ...] = FEATURES
    batch: int = 8
    workers: int = 1
    retry_for_s: float = 120
    lease_s: float = 60
    max_size: int = 1_000_000
    decode_s: float = 0
    decode_limit_s: int = 30
    index: bool = False

    def __str__(self) -> str:
        return json.dumps(asdict(self))


# Opened when a worker loads this module: later, a worker of root's may open nothing of root's.
_decodes = (
    os.open(os.environ[_DECODES], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if _DECODES in os.environ
    else None
)


def counted(
    content: FileContent, path: str, features: frozenset[Feature], limits: Limits
) -> "Extracted | DecodeError":
    """Stand in for the decoder: counts, takes its time, and has bugs that the file's name brings out."""
    assert _decodes is not None
    os.write(_decodes, f"{path}\n".encode())
    time.sleep(float(os.environ[_DECODE_S]))
    if "deadly" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hanging" in path:
        time.sleep(3600)
    return decoding.extract_or_error(content, path, features, limits)


class _Log:
    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._number = 0
        self._real = write.write_batch

    def write_batch(
        self, conn: Connection, images: Sequence[StoredImage], failed: Sequence[FailedFile] = ()
    ) -> Merged:
        self._number += 1
        rows = {str(file.file_id): str(image.image_id) for image in images for file in image.files}
        rows |= {str(failure.file.file_id): "" for failure in failed}
        self._say("try", rows, 0)
        merged = self._real(conn, images, failed)
        self._say("done", rows, merged.elsewhere + merged.gone)
        return merged

    def _say(self, state: str, rows: dict[str, str], elsewhere: int) -> None:
        line = {"number": f"{os.getpid()}.{self._number}", "state": state, "rows": rows}
        os.write(self._descriptor, json.dumps(line | {"elsewhere": elsewhere}).encode() + b"\n")


def _run(orders: Orders) -> Tally:
    settings = Settings(orders.dsn or None, Path(orders.data_dir), None, "--dsn")
    options = IngestOptions(
        features=tuple(map(Feature, orders.features)),
        batch=orders.batch,
        workers=orders.workers,
        limits=Limits(max_size=orders.max_size),
        retry_for_s=orders.retry_for_s,
        lease_s=orders.lease_s,
    )
    with closing(Session(settings)) as session:
        result = ingest(session, orders.folders, EmbedderSource(settings), options)
        if orders.index:
            build_index(session.conn, Feature.HISTOGRAM, Metric.COSINE)
    return result.tally


def main() -> None:
    """Obey, and end as the command does."""
    orders = Orders(**json.loads(sys.argv[1]))
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    os.environ[_DECODES], os.environ[_DECODE_S] = f"{orders.log}.decodes", str(orders.decode_s)
    log = _Log(orders.log)
    vars(pipeline)["write_batch"] = log.write_batch
    extract._task = counted
    vars(decoding)["TIMEOUT_S"] = orders.decode_limit_s
    try:
        tally = _run(orders)
    except ImrecError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    counts = {f.name: getattr(tally, f.name) for f in fields(tally) if f.name != "on_progress"}
    sys.stdout.write(json.dumps(counts | {"done": tally.done}))
