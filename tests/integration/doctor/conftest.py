"""Each finding is provoked on a real database, fixed as it says, and then gone."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from integration.doctor.findings import ROWS, run
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from support import AddImage, new_database, settings_for

from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.session import open_session
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.records import Feature, Metric, ModelIdentity
from imrec_pg.settings import Settings


@pytest.fixture(scope="session")
def healthy(template: str) -> Iterator[str]:
    """Yield the name of a database in which all is well, and large enough for an index."""
    with new_database(template, "imrec_template") as dsn:
        with open_session(settings_for(dsn)) as conn:
            AddImage(conn).many({"name": f"{number}.jpg"} for number in range(ROWS))
            claim_model(conn, ModelIdentity("resnet18", "aa"))
            build_index(conn, Feature.EMBEDDING, Metric.COSINE)
            conn.execute("VACUUM (ANALYZE)")
        yield str(conninfo_to_dict(dsn)["dbname"])


@pytest.fixture
def large_dsn(healthy: str, template: str) -> Iterator[str]:
    with new_database(template, healthy) as made:
        yield made


@pytest.fixture
def large(large_dsn: str) -> Settings:
    return settings_for(large_dsn)


@pytest.fixture
def make_role(server: EmbeddedServer) -> Callable[[], str]:
    """Return a function that makes a role without rights; all go with the server at the end."""

    def make() -> str:
        name = f"role_{uuid4().hex}"
        run(server.dsn, SQL("CREATE ROLE {} LOGIN").format(Identifier(name)).as_string())
        return name

    return make
