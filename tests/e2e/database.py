"""What is in a database, read by plain SQL."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from imrec_pg.records import Feature

TABLES = ("root", "image", "file", *Feature, "model", "failure")
_TIMES = ("created_at", "last_attempt_at")

SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
"""How many others are connected to this database."""

Content = Mapping[str, Mapping[str, Mapping[str, Any]]]


def query(dsn: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        cur = conn.execute(statement, parameters or None)
        return cur.fetchall() if cur.description else []


def one(dsn: str, statement: str, *parameters: object) -> Any:
    ((value,),) = query(dsn, statement, *parameters)
    return value


def counts(dsn: str) -> dict[str, int]:
    """Return the number of rows by table."""
    fields = ", ".join(f"(SELECT count(*) FROM imrec.{table})" for table in TABLES)
    (row,) = query(dsn, f"SELECT {fields}")
    return dict(zip(TABLES, row, strict=True))


def row_versions(dsn: str) -> set[tuple[str, str, str]]:
    """Return the writing transaction and the place of every row: another set once anything is rewritten."""
    parts = [f"SELECT '{table}', xmin::text, ctid::text FROM imrec.{table}" for table in TABLES]
    return set(query(dsn, " UNION ALL ".join(parts)))


def content(dsn: str) -> Content:
    """Return all rows by table and key, as JSON has them, but for the times at which they were written."""
    found = {}
    for table in TABLES:
        key = {"image": "image_id", "root": "root_id", "model": "model_id"}.get(table)
        key = key or ("file_id" if table in ("file", "failure") else "image_id")
        rows = [row for (row,) in query(dsn, f"SELECT to_jsonb(t) FROM imrec.{table} AS t")]
        found[table] = {
            str(row[key]): {name: value for name, value in row.items() if name not in _TIMES} for row in rows
        }
    return found


def assert_same(got: Content, expected: Content) -> None:
    """Hold all tables against each other; embeddings may differ by rounding."""
    for table in TABLES:
        assert got[table].keys() == expected[table].keys(), table
        if table != "embedding":
            assert got[table] == expected[table], table
            continue
        for key, row in expected[table].items():
            actual, desired = (np.array(json.loads(r["embedding"])) for r in (got[table][key], row))
            np.testing.assert_allclose(actual, desired, atol=1e-4, rtol=0)


_WITHOUT = "SELECT count(*) FROM imrec.{} WHERE image_id NOT IN (SELECT image_id FROM imrec.{})"


def assert_no_half_batch(dsn: str, features: str) -> None:
    """Every file has an image, every image a file and all features, no file is both stored and failed."""
    pairs = [("file", "image"), ("image", "file")]
    pairs += [("image", table) for table in features.split(",")]
    for table, other in pairs:
        assert one(dsn, _WITHOUT.format(table, other)) == 0, (table, other)
    assert one(dsn, "SELECT count(*) FROM imrec.failure INNER JOIN imrec.file USING (file_id)") == 0


@dataclass(frozen=True)
class Features:
    """The stored features of all images, in the order of ids.

    Attributes:
        ids: as text.
        rows: float64 (n, 512), or for hashes (n, 64) of 0 and 1, by the names that the command uses.
    """

    ids: list[str]
    rows: Mapping[str, NDArray[np.float64]]


def features(dsn: str) -> Features:
    joins = " ".join(f"INNER JOIN imrec.{feature} USING (image_id)" for feature in Feature)
    columns = ", ".join(f"{feature}.{feature}::text" for feature in Feature)
    rows = query(dsn, f"SELECT image_id::text, {columns} FROM imrec.image {joins} ORDER BY image_id")
    ids, *stored = zip(*rows, strict=True)
    return Features(
        list(ids),
        {
            feature: np.array(
                [[*map(int, row)] if feature.is_hash else json.loads(row) for row in values], float
            )
            for feature, values in zip(Feature, stored, strict=True)
        },
    )
