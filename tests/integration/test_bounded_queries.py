"""Queries and plots are decoded within limits, in processes that any program may have."""

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imrec_pg import decoding
from imrec_pg.decoding import Decoders
from imrec_pg.errors import DecodeError
from imrec_pg.images.content import FileContent, image_id_of
from imrec_pg.library import Library
from imrec_pg.records import Feature
from imrec_pg.settings import Settings

HISTOGRAM = frozenset({Feature.HISTOGRAM})


def content(data: bytes) -> FileContent:
    return FileContent(data, len(data), 0, image_id_of(data))


def png(side: int) -> bytes:
    """Return a black picture, 1,000 times as large decoded: 3 bytes a pixel."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def crash(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(*_arguments: object) -> None:
    time.sleep(3600)


def compute(*_arguments: object) -> None:
    while True:
        pass


def be_killed(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def load() -> None:
    """Import this module, too, while a child of root's may read it."""
    decoding.load_libraries()


def kind_of(decoders: Decoders, data: bytes = b"x") -> str:
    with pytest.raises(DecodeError) as caught:
        decoders.extract(content(data), "a.jpg", HISTOGRAM)()
    assert caught.value.path == "a.jpg"
    return caught.value.kind


def run(settings: Settings, code: str, exit_code: int = 0) -> str:
    """Return what a script without a main guard prints that has a library and a picture that is not stored."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    script = f"""
import os, sys, numpy
from imrec_pg.library import Library
from imrec_pg.settings import Settings
from pathlib import Path, PosixPath
library = Library(Settings(**{values!r}))
picture = numpy.zeros((40, 40, 3), dtype=numpy.uint8)
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (exit_code, "")
    return done.stdout


def wait_for_end(pid: int) -> None:
    """Return when there is no such process; one that has ended is gone as soon as its new parent looks."""
    latest = time.monotonic() + 60
    while time.monotonic() < latest:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text("utf-8"):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} goes on")


def test_a_picture_beyond_the_memory_limit_is_a_failure_and_the_next_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "MEMORY", 100 * 2**20)
    with Decoders(1) as decoders:
        assert kind_of(decoders, png(7000)) == "OutOfMemory"  # 147 MB of pixels
        row = decoders.extract(content(png(50)), "b.png", HISTOGRAM)().features.histogram
    assert row is not None
    assert row[0] == 1  # all black


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (crash, "DecoderCrashed"),
        (hang, "DecoderTimeout"),
        (compute, "DecoderTimeout"),
        (be_killed, "OutOfMemory"),
    ],
)
def test_a_decoder_that_dies_or_hangs_costs_one_query(
    task: object, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "TIMEOUT_S", 12)  # a child may take seconds to start
    monkeypatch.setattr(decoding, "CPU_S", 1)
    monkeypatch.setattr(decoding, "load_libraries", load)
    real = decoding.extract_or_error
    with Decoders(1) as decoders:
        monkeypatch.setattr(decoding, "extract_or_error", task)
        assert kind_of(decoders) == kind
        monkeypatch.setattr(decoding, "extract_or_error", real)
        assert kind_of(decoders) == "NotAnImage"


def test_a_decoder_that_was_killed_while_idle_is_replaced() -> None:
    with Decoders(1) as decoders:
        assert kind_of(decoders) == "NotAnImage"
        (child,) = decoders._children._all
        child._process.send_signal(signal.SIGKILL)
        child._process.wait()
        assert kind_of(decoders) == "NotAnImage"


def test_threads_are_not_held_up_by_a_query_that_hangs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two decoders at least, whatever the machine."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    real = decoding.extract_or_error
    with Library(settings) as library, ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(decoding, "extract_or_error", hang)
        hanging = threads.submit(library._decoders.extract(content(b"x"), "a", HISTOGRAM))
        monkeypatch.setattr(decoding, "extract_or_error", real)
        assert library.embed(png(9), ["histogram"]).histogram is not None
        library.close()
        with pytest.raises(DecodeError):
            hanging.result(timeout=60)


def test_nothing_is_decoded_in_the_process_of_a_search(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imrec_pg.images.decode.decode", crash)
    path = tmp_path / "a.png"
    path.write_bytes(png(9))
    with Library(settings) as library:
        for query in (path, png(8), Image.new("RGB", (5, 5)), np.zeros((6, 7, 3), dtype=np.uint8)):
            assert library.embed(query, ["average_hash"]).average_hash is not None
            assert not library.search(query, feature="average_hash").neighbours


def test_a_script_without_a_main_guard_searches(settings: Settings) -> None:
    assert run(settings, "print(library.search(picture, feature='histogram').certainty)") == "exact\n"


def test_a_daemonic_process_searches(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_search, args=(settings, answers), daemon=True)
    process.start()
    assert answers.get() == "exact"
    process.join(60)
    assert process.exitcode == 0


def _search(settings: Settings, answers: "multiprocessing.SimpleQueue[str]") -> None:
    with Library(settings) as library:
        answers.put(library.search(png(9), feature="histogram").certainty)


def test_a_library_that_nobody_closes_leaves_no_process(settings: Settings) -> None:
    code = """
library.search(picture, feature='histogram')
(child,) = library._decoders._children._all
print(child._process.pid)
"""
    wait_for_end(int(run(settings, code)))


def test_decoders_end_with_a_process_that_is_killed(settings: Settings) -> None:
    code = """
library.search(picture, feature='histogram')
(child,) = library._decoders._children._all
print(child._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    child = int(run(settings, code, exit_code=-9))
    wait_for_end(child)


def test_a_fork_leaves_the_decoders_of_its_parent_alone(settings: Settings) -> None:
    code = """
library.search(picture, feature='histogram')
before = set(library._decoders._children._all)
child = os.fork()
if child == 0:
    sys.exit(0)
os.waitpid(child, 0)
print(library.search(picture[:9], feature='histogram').certainty)
print(before == set(library._decoders._children._all))
"""
    assert run(settings, code) == "exact\nTrue\n"


def test_sixteen_threads_search_for_new_photos_at_once(settings: Settings) -> None:
    pictures = [png(10 + number) for number in range(16)]
    with Library(settings) as library, ThreadPoolExecutor(16) as threads:
        rows = list(threads.map(lambda data: library.embed(data, ["average_hash"]).average_hash, pictures))
    assert all(row is not None for row in rows)
    assert threading.active_count() < 16
