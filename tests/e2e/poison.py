"""Becomes a sitecustomize: every Python process that starts with it writes down and refuses any use of the network.

An audit hook hears what socket and _socket are asked for, by whichever module, and no library can take it off.
"""

import os
import sys
import traceback

_NAMES = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
)
_AF_INET, _AF_INET6 = 2, {"darwin": 30}.get(sys.platform, 10)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    opened = event == "socket.__new__" and arguments[1] in {_AF_INET, _AF_INET6}
    # Only by fork and exec could a program without Python, and so without this hook, do it.
    program = event in {"subprocess.Popen", "os.posix_spawn", "os.exec"}
    if not (opened or event in _NAMES or event == "os.system" or program):
        return
    with open(os.environ["IMREC_TEST_ATTEMPTS"], "a", encoding="utf-8") as log:  # noqa: PTH123 - quick to load
        if program:
            log.write(f"program {str(arguments[0]).rpartition('/')[2]}\n")
            return
        log.write(f"{event} {arguments[1:]} in {sys.argv}\n{''.join(traceback.format_stack()[-12:-1])}\n")
    raise OSError("the test forbids the network")


sys.addaudithook(_refuse)
