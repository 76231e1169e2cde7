"""Two roots, /mine with images 1 to 40 and /theirs with 101 to 160; image 500 lies in both."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo
from support import AddImage, at_angle

from imrec_pg.catalogue import claims
from imrec_pg.catalogue.claims import Worker
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id

MINE, THEIRS, SHARED = range(1, 41), range(101, 161), 500
OWN = {*MINE, SHARED}
BITS = "1" * 64
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Restricted:
    """A role that sees /mine alone.

    Attributes:
        conn: as that role.
        name: quotes and spaces in it, and 63 bytes, as long as PostgreSQL lets a name be.
    """

    conn: Connection
    name: str

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        return self.conn.execute(statement.encode(), parameters or None).fetchall()

    def images(self) -> int:
        """How many images it may see."""
        return len(self.rows("SELECT DISTINCT image_id FROM imrec.visible_photo"))


def make_roots(conn: Connection) -> None:
    """Theirs are nearest to a vector at angle 0 and to BITS, in order; mine at 60 degrees and more."""
    mine, theirs = AddImage(conn, b"/mine"), AddImage(conn, b"/theirs")
    mine.many(photo(i, 60 + i / 2) for i in MINE)
    theirs.many(photo(i, (i - 100) / 10) for i in THEIRS)
    for root in (mine, theirs):
        root.many([photo(SHARED, 45)])
    for name, number in ((b"/mine", 1), (b"/theirs", 101)):
        root_id = root_of(name).root_id
        conn.execute(
            "INSERT INTO imrec.failure (file_id, root_id, relative_path, path, size, mtime_ns, "
            "error_class, error) VALUES (%s, %s, 'bad.jpg', %s, 1, 1, 'Empty', 'no bytes')",
            (file_id(root_id, b"bad.jpg"), root_id, name.decode() + "/bad.jpg"),
        )
        conn.execute("INSERT INTO imrec.missing (file_id) VALUES (%s)", (file_id(root_id, name_of(number)),))
        conn.execute(
            "INSERT INTO imrec.mount (root_id, host, raw_path) VALUES (%s, 'b', %s)", (root_id, name)
        )
        worker = Worker(uuid4(), "b" + name.decode(), 1, timedelta(hours=1))
        claims.renew(conn, worker, locked=False)
        conn.execute(
            "SELECT imrec_internal.claim(%s, %s, %s)",
            (worker.worker_id, [file_id(root_id, b"new")], [root_id]),
        )
    conn.execute("INSERT INTO imrec.model VALUES (1, 'resnet18', repeat('ab', 32))")
    _add_analysis(conn)
    _add_duplicates(conn)
    _add_reductions(conn)
    conn.execute(
        "INSERT INTO imrec.tuning VALUES ('embedding', 'cosine', 40, 10, 0.99, 0.99, 0.9, 1, 1, 50, 101)"
    )
    conn.execute("INSERT INTO imrec.evidence VALUES ('embedding', 'cosine', '{0,1}', '{90,0}', 101, 101)")


def _add_reductions(conn: Connection) -> None:
    """Reduce all vectors to two dimensions: what finds the best directions takes a second."""
    for feature in ("embedding", "histogram"):
        conn.execute(
            "INSERT INTO imrec.reduction (feature, metrics, dims, images, candidates, growth, passing, "
            "block_images) VALUES (%s, '{cosine,euclidean}', 2, 101, 20, 0.5, 0.1, 8)",
            (feature,),
        )
        for kind, expression in (("mean", "0.04"), ("component", "(n = 1)::integer")):
            conn.execute(
                "INSERT INTO imrec.reduction_axis SELECT %s, %s, 0, "
                f"array_agg({expression})::real[]::vector FROM generate_series(1, 512) AS n".encode(),
                (feature, kind),
            )
    conn.execute("SELECT imrec_internal.reduce_images(NULL)")
    conn.execute("UPDATE imrec.reduction SET complete = true")


def _add_analysis(conn: Connection) -> None:
    """Put all images on a map and into clusters, one by the feature and one on the map."""
    by_feature, on_map, map_id = uuid4(), uuid4(), uuid4()
    conn.execute("INSERT INTO imrec.map VALUES (%s, 'embedding', 3, 15, 0.1, 42, 101, 101)", (map_id,))
    conn.execute("INSERT INTO imrec.map_point SELECT image_id, %s, 1, 2, 3, true FROM imrec.image", (map_id,))
    conn.execute("INSERT INTO imrec.map_projection VALUES (%s, '', '', '')", (map_id,))
    conn.execute("INSERT INTO imrec.map_cell VALUES (%s, 0, '', '')", (map_id,))
    for key, space, of_map in ((by_feature, "feature", None), (on_map, "map", map_id)):
        conn.execute(
            "INSERT INTO imrec.clustering VALUES (%s, 'embedding', %s, %s, 1, 'given', 42, 101)",
            (key, space, of_map),
        )
        conn.execute(
            "INSERT INTO imrec.cluster VALUES (%s, 1, 101, '[1,2,3]', %s, 0.5, '/theirs')",
            (key, UUID(int=101)),
        )
        conn.execute("INSERT INTO imrec.cluster_member SELECT image_id, %s, 1, 0.5 FROM imrec.image", (key,))


def _add_duplicates(conn: Connection) -> None:
    """Make a group of a photo of each root, a pair of the two and a verdict; and pairs of /mine: 1 is missing."""
    conn.execute("INSERT INTO imrec.duplicate_search VALUES (1, 'normal', false)")
    conn.execute("INSERT INTO imrec.duplicate_tuning VALUES (1, 'normal', 1, 1, 19, 100)")
    conn.execute("INSERT INTO imrec.duplicate_seen SELECT image_id FROM imrec.image")
    for own in ((UUID(int=a), UUID(int=b)) for a, b in ((1, 2), (2, 3), (2, 102))):
        conn.execute("INSERT INTO imrec.duplicate_pair VALUES (%s, %s, 0, 0, 0, 0, 0, 'copy')", own)
    pair = (UUID(int=1), UUID(int=101))
    conn.execute("INSERT INTO imrec.duplicate_pair VALUES (%s, %s, 0, 0, 0, 0, 0, 'copy')", pair)
    conn.execute("INSERT INTO imrec.duplicate_verdict VALUES (%s, %s, 'same', 'somebody')", pair)
    for image_id in pair:
        conn.execute(
            "INSERT INTO imrec.duplicate_member VALUES (%s, 'copy', %s, %s)",
            (image_id, pair[0], image_id == pair[0]),
        )


def name_of(number: int) -> bytes:
    return b"%03d.jpg" % number


def photo(number: int, degrees: float) -> dict[str, object]:
    rng = np.random.default_rng(number)
    code = (2**64 - 1 - 2 ** (number % 7)).to_bytes(8, "big") if number > 100 else rng.bytes(8)
    return {
        "name": name_of(number).decode(),
        "embedding": at_angle(degrees),
        "histogram": rng.random(512),
        "average_hash": code,
        "difference_hash": code,
        "perceptual_hash": code,
        "image_id": UUID(int=number),
    }


def assert_own(rows: list[Row]) -> None:
    """No image, path or root of /theirs is in the rows, however deep."""
    told = str(rows)
    assert "theirs" not in told
    assert str(root_of(b"/theirs").root_id) not in told
    ids = {int(found, 16) for found in re.findall(r"0{8}-0{4}-0{4}-0{4}-([0-9a-f]{12})", told)}
    assert ids <= OWN


def count(dsn: str, role: str, what: LiteralString = "DISTINCT image_id") -> int:
    """How many images, or * for files, a role may see."""
    with psycopg.connect(make_conninfo(dsn, user=role)) as conn:
        ((number,),) = conn.execute(f"SELECT count({what}) FROM imrec.visible_photo")
    return int(str(number))
