"""Each feature is known wherever features are listed: what CONTRIBUTING.md says of adding one, enforced."""

import dataclasses

import pytest
from support import AddImage

from imrec_pg.db.connection import Connection
from imrec_pg.extraction import version_of
from imrec_pg.records import Feature, Features

NAMES = [str(feature) for feature in Feature]


def columns(conn: Connection, relation: str) -> list[str]:
    rows = conn.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        (relation,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def test_python_knows_each_feature() -> None:
    assert [field.name for field in dataclasses.fields(Features)] == NAMES
    assert all(version_of(feature) >= 1 and feature.description for feature in Feature)


def test_sql_knows_each_feature_by_its_name(conn: Connection, add_image: AddImage) -> None:
    stored = add_image("a.jpg")
    found = conn.execute("SELECT feature, type = 'bit' FROM imrec.feature").fetchall()
    assert found == [(str(feature), feature.is_hash) for feature in Feature]
    for name in NAMES:
        assert columns(conn, f"imrec.{name}") == ["image_id", name, "version"]
    # Python fills the type by position.
    attributes = conn.execute(
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = 'imrec.features'::regtype)"
    ).fetchone()
    assert attributes == (NAMES,)
    assert set(NAMES) <= set(columns(conn, "imrec.photo"))
    listed = conn.execute(
        "SELECT feature FROM imrec_internal.stored_feature WHERE image_id = %s", (stored.image_id,)
    ).fetchall()
    assert sorted(str(row[0]) for row in listed) == sorted(["metadata", *NAMES])
    lacks = conn.execute(
        "SELECT jsonb_object_keys(jsonb_strip_nulls(to_jsonb(features))) FROM imrec_internal.image_features"
    ).fetchall()
    assert sorted(str(row[0]) for row in lacks) == sorted(NAMES)


@pytest.mark.parametrize("feature", [feature for feature in Feature if feature.is_hash])
def test_each_hash_is_searched_by_its_chunks(conn: Connection, feature: Feature) -> None:
    indexes = conn.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'imrec' AND tablename = %s", (str(feature),)
    ).fetchall()
    assert {f"{feature}_chunk_{chunk}_idx" for chunk in range(4)} <= {str(row[0]) for row in indexes}
