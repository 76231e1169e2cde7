"""The REST API beside the same call in SQL: one client, and then many at once; and the server's memory meanwhile."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import UUID

import psutil

from benchmarks.measure import side_by_side, summary
from benchmarks.results import Goal, Line, Section, Value
from benchmarks.scratch import open_plain
from benchmarks.workload import K, Workload
from imrec_pg.errors import ImrecError
from imrec_pg.settings import Settings

_CLIENTS = 50
_CONNECTIONS = 6
_TIMES, _MORE_S = 1.3, 0.003  # what the goal allows
_QUERIES = 200
_LEAST_S = 0.3
_GROWTH = 1.1
_SQL = "SELECT * FROM imrec.recommend(%s::uuid[], '{}'::uuid[], %s)"

Ask = Callable[[UUID], object]
Asking = AbstractContextManager[Ask]


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    process: psutil.Process

    @property
    def memory(self) -> int:
        """Resident memory of the server and its decoders, in bytes."""
        return sum(one.memory_info().rss for one in [self.process, *self.process.children(recursive=True)])


def serve_lines(workload: Workload, settings: Settings) -> Iterator[Line]:
    """Yield lines on a server of its own process; the library is loaded."""
    ids = workload.dataset.ids_of(range(min(_QUERIES, len(workload.dataset))))
    with _serving(settings) as server:
        yield from _one_client(workload, settings, server, ids)
        before = server.memory
        rest = _many(workload, ids, lambda: _rest(server))
        after = server.memory
        with _pool(settings) as pool:
            sql = _many(workload, ids, lambda: pool)
        note = "all on this machine, and in one process each side"
        rival = f"SQL by {_CONNECTIONS} connections"
        yield Line(Section.SERVE, f"search by REST, {_CLIENTS} clients", "s", rest, rival, sql, note=note)
        yield Line(
            Section.SERVE,
            "server's memory, after the clients and before",
            "bytes",
            Value(after),
            "before",
            Value(before),
            Goal(f"≤ {_GROWTH:g} x", after <= _GROWTH * before),
        )


def _one_client(workload: Workload, settings: Settings, server: _Server, ids: list[UUID]) -> Iterator[Line]:
    with _rest(server) as by_rest, _sql(settings) as by_sql:
        found = side_by_side(
            {
                "REST": lambda number: by_rest(ids[number % len(ids)]),
                "SQL": lambda number: by_sql(ids[number % len(ids)]),
            },
            workload.effort,
            title="REST",
            warm_up=3,
        )
    if found["REST"].answers != found["SQL"].answers:
        raise ImrecError("REST and SQL answered differently")
    ours, theirs = found["REST"].value, found["SQL"].value
    limit = _TIMES * theirs.number + _MORE_S
    goal = Goal(f"≤ {_TIMES:g} x + 3 ms", ours.number <= limit)
    yield Line(Section.SERVE, "search by REST, one client", "s", ours, "SQL", theirs, goal)


def _many(workload: Workload, ids: list[UUID], ask: Callable[[], Asking]) -> Value:
    """Return how long a search takes when so many clients search all the time, each on a connection of its own."""
    seconds: list[float] = []
    trouble: list[BaseException] = []
    until = time.perf_counter() + max(workload.effort.seconds, _LEAST_S)

    def client(first: int) -> None:
        own = []
        try:
            with ask() as asked:
                number = first
                while time.perf_counter() < until:
                    started = time.perf_counter()
                    asked(ids[number % len(ids)])
                    own.append(time.perf_counter() - started)
                    number += 1
        except BaseException as error:  # noqa: BLE001 - told below, in the main thread
            trouble.append(error)
        seconds.extend(own)

    threads = [threading.Thread(target=client, args=(7 * number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if trouble:
        raise trouble[0]
    return summary(seconds)


@contextmanager
def _rest(server: _Server) -> Iterator[Ask]:
    with closing(HTTPConnection(server.host, server.port, timeout=60)) as conn:

        def ask(image_id: UUID) -> object:
            body = json.dumps({"likes": [str(image_id)], "k": K})
            conn.request("POST", "/api/v1/recommend", body, {"Content-Type": "application/json"})
            reply = conn.getresponse()
            answer = json.loads(reply.read())
            return [item["image_id"] for item in answer["items"]]

        yield ask


@contextmanager
def _sql(settings: Settings) -> Iterator[Ask]:
    with open_plain(settings.dsn or "") as conn:
        yield lambda image_id: [str(row[5]) for row in conn.execute(_SQL, ([image_id], K)).fetchall()]


@contextmanager
def _pool(settings: Settings) -> Iterator[AbstractContextManager[Ask]]:
    """Yield what asks in SQL by a few connections, in the order of asking: the server has no place for many."""
    idle: queue.SimpleQueue[Ask] = queue.SimpleQueue()

    def ask(image_id: UUID) -> object:
        taken = idle.get()
        try:
            return taken(image_id)
        finally:
            idle.put(taken)

    with ExitStack() as opened, ThreadPoolExecutor(_CONNECTIONS) as threads:
        for _ in range(_CONNECTIONS):
            idle.put(opened.enter_context(_sql(settings)))
        yield nullcontext(lambda image_id: threads.submit(ask, image_id).result())


@contextmanager
def _serving(settings: Settings) -> Iterator[_Server]:
    command = [sys.executable, "-m", "imrec_pg", "serve", "--port", "0", "--dsn", settings.dsn or ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = urlsplit(process.stdout.readline().strip())
            if address.hostname is None or address.port is None:
                raise ImrecError("imrec-pg serve did not start: run it to see why")
            yield _Server(address.hostname, address.port, psutil.Process(process.pid))
        finally:
            process.terminate()
