"""A TCP proxy in front of a server's socket that cuts the connection at a chosen message.

It reads PostgreSQL's messages from the client: after the first one, each is a letter, a length, and a body.
"""

import socket
import struct
import threading
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path

_ASKS_FOR_ENCRYPTION = {80877103, 80877104}
_SILENCE_S = 2.0


class Cut(Enum):
    """Where: the client learns of each only by a broken connection."""

    BEFORE_COMMIT = "before COMMIT reached the server"
    AFTER_COMMIT = "between COMMIT and its answer"
    IN_COPY = "in the middle of COPY"
    SILENCE = "after a silence"


class Proxy:
    """Listens on an address of this machine; cuts once each time that it is armed."""

    def __init__(self, target: Path, address: str = "127.0.0.1") -> None:
        self._target = target
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._armed: Cut | None = None
        self._lock = threading.Lock()
        self._pipes: list[_Pipe] = []
        self.cut = threading.Event()
        self.silent_until = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut) -> None:
        self.cut.clear()
        self._armed = cut

    def close(self) -> None:
        self._listener.close()
        for pipe in self._pipes:
            pipe.close()

    def taken(self, *wanted: Cut) -> Cut | None:
        """Return what is armed, if it is one of these; then it is not any more."""
        with self._lock:
            armed = self._armed
            if armed not in wanted:
                return None
            self._armed = None
            return armed

    def fall_silent(self) -> None:
        """Forward nothing for a while, then cut everything."""
        self.silent_until = time.monotonic() + _SILENCE_S
        threading.Timer(_SILENCE_S, self._cut_all).start()

    def _cut_all(self) -> None:
        for pipe in list(self._pipes):
            pipe.close()
        self.cut.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._target))
                except OSError:
                    client.close()
                    continue
                self._pipes.append(_Pipe(self, client, server))


class _Pipe:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._answers_wanted = True
        self._answered = threading.Event()
        for pump in (self._from_client, self._from_server):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _run(self, pump: object) -> None:
        assert callable(pump)
        with suppress(OSError, EOFError):
            pump()
        self.close()

    def _from_server(self) -> None:
        while data := self._server.recv(65536):
            self._be_silent()
            if self._answers_wanted:
                self._client.sendall(data)
            self._answered.set()

    def _from_client(self) -> None:
        while True:
            length = self._read(4)
            body = self._read(struct.unpack(">I", length)[0] - 4)
            self._server.sendall(length + body)
            if struct.unpack(">I", body[:4])[0] not in _ASKS_FOR_ENCRYPTION:
                break
        while True:
            head = self._read(5)
            body = self._read(struct.unpack(">I", head[1:])[0] - 4)
            if self._is_cut(head[:1], body, head + body):
                self._proxy.cut.set()
                return
            self._be_silent()
            self._server.sendall(head + body)

    def _is_cut(self, kind: bytes, body: bytes, message: bytes) -> bool:
        if kind in b"QP" and b"COMMIT" in body:
            match self._proxy.taken(Cut.BEFORE_COMMIT, Cut.AFTER_COMMIT):
                case Cut.BEFORE_COMMIT:
                    return True
                case Cut.AFTER_COMMIT:
                    self._answers_wanted = False
                    self._answered.clear()
                    self._server.sendall(message)
                    self._answered.wait(10)
                    return True
        elif kind == b"d":
            if self._proxy.taken(Cut.IN_COPY):
                self._server.sendall(message[: len(message) // 2])
                return True
            if self._proxy.taken(Cut.SILENCE):
                self._proxy.fall_silent()
        return False

    def _be_silent(self) -> None:
        time.sleep(max(0.0, self._proxy.silent_until - time.monotonic()))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += (part := self._client.recv(size - len(data)))
            if not part:
                raise EOFError
        return data
