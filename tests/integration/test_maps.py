"""Maps in the database: alike photos lie together, the same seed repeats, and new photos are placed."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from integration.analysed import EACH, GROUPS, TOTAL, add_groups, embedding, group_of
from numpy.typing import NDArray
from psycopg.conninfo import make_conninfo
from support import AddImage, bare_session, copied_database, needs, new_database, settings_for

from imrec_pg.access import grants
from imrec_pg.analysis import clusters, maps, stored
from imrec_pg.analysis.layout import Shape
from imrec_pg.analysis.placing import Placer, place_lacking
from imrec_pg.analysis.records import MapPoints, Space
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import NoMapError, PermissionDeniedError, StoreError, UsageError
from imrec_pg.records import Feature, GrantedRole
from imrec_pg.settings import Settings

pytestmark = needs("umap")

FLAT, SPACE = Shape(2, 10, 0.1, 42), Shape(3, 10, 0.1, 42)
LANDMARKS = 60


@dataclass(frozen=True)
class Made:
    """The groups with a flat map and one in space, made once for all tests, each of which gets a copy.

    Attributes:
        dsn: of the database that is copied.
        ids: of the photos, by group.
        maps: the id of the map of so many dimensions.
    """

    dsn: str
    ids: list[UUID]
    maps: dict[int, UUID]


@contextmanager
def made_once(template: str, landmarks: int) -> Iterator[Made]:
    with new_database(template, "imrec_template") as dsn:
        with bare_session(settings_for(dsn)) as conn:
            ids = add_groups(conn)
            found = {
                shape.dims: maps.build(conn, Feature.EMBEDDING, shape, landmarks=landmarks)
                for shape in (FLAT, SPACE)
            }
        yield Made(dsn, ids, found)


@pytest.fixture(scope="module")
def made(template: str) -> Iterator[Made]:
    with made_once(template, TOTAL) as found:
        yield found


@pytest.fixture(scope="module")
def sampled_once(template: str) -> Iterator[Made]:
    with made_once(template, LANDMARKS) as found:
        yield found


@pytest.fixture
def mapped(made: Made) -> Iterator[Connection]:
    """Yield a session on the groups with two maps, on which all are landmarks."""
    with copied_database(made.dsn) as dsn, bare_session(settings_for(dsn)) as conn:
        yield conn


@pytest.fixture
def sampled(sampled_once: Made) -> Iterator[Connection]:
    """Yield a session on the groups with two maps, on which 60 are landmarks."""
    with copied_database(sampled_once.dsn) as dsn, bare_session(settings_for(dsn)) as conn:
        yield conn


def groups_of(points: MapPoints, groups: dict[UUID, int]) -> NDArray[np.int64]:
    return np.array([groups[key] for key in points.uuids()])


def purity(points: MapPoints, groups: dict[UUID, int]) -> float:
    """Return for which share of the photos the nearest other photo on the map is of the same group."""
    distances = np.linalg.norm(points.points[:, None] - points.points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    labels = groups_of(points, groups)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


@pytest.mark.parametrize("shape", [FLAT, SPACE], ids=["flat", "space"])
def test_alike_photos_lie_together_and_the_figures_say_so(
    mapped: Connection, made: Made, shape: Shape
) -> None:
    conn, groups, map_id = mapped, group_of(made.ids), made.maps[shape.dims]
    found = stored.map_points(conn, Feature.EMBEDDING, shape.dims)
    assert found.info.map_id == map_id
    assert found.points.shape == (TOTAL, shape.dims)
    assert purity(found, groups) == 1
    info = found.info
    assert (info.images, info.landmarks, info.later, info.lacking) == (TOTAL, TOTAL, 0, 0)
    assert info.trustworthiness is not None
    assert info.trustworthiness > 0.9
    assert info.agreement == 1
    by_feature = stored.clusters(conn, Feature.EMBEDDING)
    on_map = stored.clusters(conn, Feature.EMBEDDING, shape.dims)
    assert (on_map.space, on_map.map_id, on_map.k) == (Space.MAP, map_id, by_feature.k)
    labels = groups_of(found, groups)
    for column in (found.clusters, found.map_clusters):
        assert len({*zip(column.tolist(), labels.tolist(), strict=True)}) == GROUPS


def test_a_seed_gives_the_same_map_again_and_another_seed_another(sampled: Connection) -> None:
    conn = sampled
    built = [stored.map_points(conn, Feature.EMBEDDING, 2).points]
    for seed in (42, 7):
        maps.build(conn, Feature.EMBEDDING, Shape(2, 10, 0.1, seed), landmarks=LANDMARKS)
        built.append(stored.map_points(conn, Feature.EMBEDDING, 2).points)
    assert np.array_equal(built[0], built[1])
    assert not np.array_equal(built[0], built[2])


def test_what_is_no_landmark_lies_within_its_group(sampled: Connection, sampled_once: Made) -> None:
    groups = group_of(sampled_once.ids)
    found = stored.map_points(sampled, Feature.EMBEDDING, 3)
    labels = groups_of(found, groups)
    # 15 of each group of 25.
    assert np.bincount(labels[found.landmark]).tolist() == [LANDMARKS // GROUPS] * GROUPS
    assert found.info.landmarks == LANDMARKS
    middles = np.stack(
        [found.points[found.landmark & (labels == group)].mean(axis=0) for group in range(GROUPS)]
    )
    placed = found.points[~found.landmark]
    nearest = np.linalg.norm(placed[:, None] - middles[None], axis=2).argmin(axis=1)
    assert nearest.tolist() == labels[~found.landmark].tolist()


def test_maps_of_each_feature_and_dimension_stand_side_by_side(mapped: Connection) -> None:
    conn = mapped
    first = maps.build(conn, Feature.HISTOGRAM, FLAT)
    second = maps.build(conn, Feature.HISTOGRAM, FLAT)
    assert first != second
    there = [(one.feature, one.dims) for one in stored.maps(conn)]
    assert there == [("embedding", 2), ("embedding", 3), ("histogram", 2)]
    assert stored.map_points(conn, Feature.EMBEDDING).info.dims == 3
    assert conn.execute("SELECT count(*) FROM imrec.map_point").fetchone() == (3 * TOTAL,)
    assert stored.drop_map(conn, Feature.EMBEDDING, 3)
    assert not stored.drop_map(conn, Feature.EMBEDDING, 3)
    assert len(stored.clusterings(conn)) == 4
    for table in ("map_point", "map_cell", "map_projection"):
        assert conn.execute(f"SELECT count(DISTINCT map_id) FROM imrec.{table}".encode()).fetchone() == (2,)


def test_clusters_on_the_map_are_made_anew_without_the_map(mapped: Connection, made: Made) -> None:
    conn = mapped
    stored.drop_map(conn, Feature.EMBEDDING, 3)
    clusters.build_on_map(conn, Feature.EMBEDDING, None, 2)
    anew = stored.clusters(conn, Feature.EMBEDDING, 2)
    assert (anew.k, anew.map_id, anew.images) == (2, made.maps[2], TOTAL)
    ((agreement,),) = conn.execute("SELECT agreement FROM imrec.map").fetchall()
    # By its definition (Hubert, Arabie 1985), over all pairs of photos.
    points = stored.map_points(conn, Feature.EMBEDDING)
    pairs = np.triu_indices(TOTAL, 1)
    one, other = (column[pairs[0]] == column[pairs[1]] for column in (points.clusters, points.map_clusters))
    chance = one.sum() * other.sum() / len(one)
    expected = ((one & other).sum() - chance) / ((one.sum() + other.sum()) / 2 - chance)
    assert agreement == pytest.approx(expected)
    assert len({*points.map_clusters.tolist()}) == 2


@pytest.mark.parametrize("number", [1, 2, 5, 12])
@pytest.mark.parametrize("same", [True, False], ids=["all the same", "different"])
def test_few_photos_have_a_map_too(conn: Connection, add_image: AddImage, number: int, same: bool) -> None:
    add_image.many({"name": f"{n}.jpg", "embedding": embedding(0, 0 if same else n)} for n in range(number))
    for shape in (FLAT, SPACE):
        maps.build(conn, Feature.EMBEDDING, shape)
        found = stored.map_points(conn, Feature.EMBEDDING, shape.dims)
        assert found.points.shape == (number, shape.dims)
        assert np.isfinite(found.points).all()
        assert (found.clusters > 0).all()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(4, 15, 0.1, 42), "2 or 3 dimensions, not 4"),
        (Shape(3, 1, 0.1, 42), "2 to 200 neighbours, not 1"),
        (Shape(3, 15, 1.5, 42), "between 0 and 1, not 1.5"),
        (Shape(3, 15, float("nan"), 42), "not nan"),
        (Shape(3, 15, 0.1, -1), "a seed is"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(conn: Connection, shape: Shape, said: str) -> None:
    add_groups(conn)
    with pytest.raises(UsageError, match=said):
        maps.build(conn, Feature.EMBEDDING, shape)


def test_no_photo_no_map(conn: Connection) -> None:
    with pytest.raises(UsageError, match="no embedding of any photo"):
        maps.build(conn, Feature.EMBEDDING, SPACE)
    with pytest.raises(UsageError, match="has no mean"):
        maps.build(conn, Feature.PERCEPTUAL_HASH, SPACE)
    with pytest.raises(NoMapError):
        stored.map_points(conn, Feature.EMBEDDING)


@pytest.mark.parametrize("when", ["neighbours", "laying out", "storing"])
def test_photos_deleted_meanwhile_are_not_on_the_map(conn: Connection, settings: Settings, when: str) -> None:
    ids = add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    deleted = list[bool]()

    def prune(step: str, _done: int, _total: int | None) -> None:
        if step == when and not deleted:
            deleted.append(True)
            with bare_session(settings) as other:
                other.execute("DELETE FROM imrec.file WHERE image_id = ANY (%s)", (ids[:EACH],))
                other.execute("DELETE FROM imrec.image WHERE image_id = ANY (%s)", (ids[:EACH],))

    maps.build(conn, Feature.EMBEDDING, SPACE, prune)
    found = stored.map_points(conn, Feature.EMBEDDING)
    assert set(found.uuids()) == set(ids[EACH:])
    assert (found.info.images, found.info.lacking) == (TOTAL - EACH, 0)


@pytest.mark.parametrize("table", ["map_point", "map_cell", "cluster_member"])
def test_a_build_that_fails_while_it_stores_leaves_the_last_map(mapped: Connection, table: str) -> None:
    """As a full disk would let it fail; here it is a constraint."""
    conn = mapped
    before = stored.map_points(conn, Feature.EMBEDDING)
    conn.execute(f"ALTER TABLE imrec.{table} ADD CONSTRAINT full_disk CHECK (false) NOT VALID".encode())
    with pytest.raises(StoreError):
        maps.build(conn, Feature.EMBEDDING, Shape(3, 10, 0.1, 7))
    after = stored.map_points(conn, Feature.EMBEDDING)
    assert after.info == before.info
    assert np.array_equal(after.points, before.points)


def test_new_photos_are_placed_near_their_like(sampled: Connection, sampled_once: Made) -> None:
    conn, groups = sampled, group_of(sampled_once.ids)
    before = {dims: stored.map_points(conn, Feature.EMBEDDING, dims) for dims in (2, 3)}
    new = AddImage(conn).many(
        {"name": f"new{g}.jpg", "embedding": embedding(g, 99), "image_id": UUID(int=9000 + g)}
        for g in range(GROUPS)
    )
    assert [one.lacking for one in stored.maps(conn)] == [GROUPS, GROUPS]
    Placer().place(conn, {Feature.EMBEDDING: [photo.image_id for photo in new]})
    for dims, old in before.items():
        found = stored.map_points(conn, Feature.EMBEDDING, dims)
        assert (found.info.later, found.info.lacking) == (GROUPS, 0)
        placed = dict(zip(found.uuids(), found.points, strict=True))
        labels = groups_of(old, groups)
        for group, photo in enumerate(new):
            distances = np.linalg.norm(old.points - placed[photo.image_id], axis=1)
            assert labels[int(distances.argmin())] == group
        on_map = dict(zip(found.uuids(), found.map_clusters, strict=True))
        assert [on_map[photo.image_id] for photo in new] == [
            on_map[UUID(int=1 + group * EACH)] for group in range(GROUPS)
        ]


def test_a_photo_computed_anew_moves_and_is_no_landmark_any_more(mapped: Connection, made: Made) -> None:
    conn, ids = mapped, made.ids
    before = dict(zip(ids, range(TOTAL), strict=True))
    vector = embedding(1, 3).astype(np.float32)
    conn.execute("UPDATE imrec.embedding SET embedding = %s WHERE image_id = %s", (vector, ids[0]))
    Placer().place(conn, {Feature.EMBEDDING: [ids[0]]})
    found = stored.map_points(conn, Feature.EMBEDDING, 2)
    places = dict(zip(found.uuids(), found.points, strict=True))
    distances = {
        key: float(np.linalg.norm(place - places[ids[0]])) for key, place in places.items() if key != ids[0]
    }
    nearest = min(distances, key=lambda key: distances[key])
    assert before[nearest] // EACH == 1
    flags = conn.execute(
        "SELECT landmark, later FROM imrec.map_point WHERE image_id = %s", (ids[0],)
    ).fetchall()
    assert flags == [(False, True)] * 2


def test_photos_that_lack_the_feature_are_left_out(conn: Connection) -> None:
    ids = add_groups(conn)
    conn.execute("DELETE FROM imrec.embedding WHERE image_id = ANY (%s)", (ids[:3],))
    maps.build(conn, Feature.EMBEDDING, FLAT)
    Placer().place(conn, {Feature.EMBEDDING: ids[:3]})
    place_lacking(conn)
    found = stored.map_points(conn, Feature.EMBEDDING)
    assert (len(found), found.info.lacking) == (TOTAL - 3, 0)


def test_a_placer_notices_that_a_map_was_made_anew(mapped: Connection, made: Made) -> None:
    conn = mapped
    placer = Placer()
    placer.place(conn, {Feature.EMBEDDING: [UUID(int=1)]})
    map_id = maps.build(conn, Feature.EMBEDDING, FLAT)
    new = AddImage(conn)("new.jpg", embedding=embedding(2, 99), image_id=UUID(int=9999))
    placer.place(conn, {Feature.EMBEDDING: [new.image_id]})
    rows = conn.execute("SELECT map_id FROM imrec.map_point WHERE image_id = %s", (new.image_id,)).fetchall()
    assert {key for (key,) in rows} == {map_id, made.maps[3]}


def test_who_may_ingest_may_not_make_a_map(conn: Connection, dsn: str, new_role: Callable[[], str]) -> None:
    add_groups(conn)
    role = new_role()
    grants.grant(conn, GrantedRole.INGESTER, role, create=True)
    with (
        open_session(settings_for(make_conninfo(dsn, user=role))) as own,
        pytest.raises(PermissionDeniedError, match="only the owner"),
    ):
        maps.build(own, Feature.EMBEDDING, FLAT)


def test_points_and_clusters_become_tables(mapped: Connection, made: Made) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra [parquet]")
    conn, ids = mapped, made.ids
    points = stored.map_points(conn, Feature.EMBEDDING, 2)
    table = pa.table(points)
    assert table.column_names == ["image_id", "x", "y", "cluster", "map_cluster", "landmark"]
    assert table["image_id"].to_pylist() == sorted(map(str, ids))
    assert np.array_equal(np.stack([table["x"], table["y"]], axis=1), points.points)
    rows = pa.table(stored.clusters(conn, Feature.EMBEDDING)).to_pylist()
    assert [row["size"] for row in rows] == [EACH] * GROUPS
    assert {row["year"] for row in rows} == {2000, 2001, 2002, 2003}


def test_the_examples_of_the_guide_run_and_answer(mapped: Connection) -> None:
    conn = mapped
    stored.drop_map(conn, Feature.EMBEDDING, 2)
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "map.md").read_text(encoding="utf-8")
    ((query,),) = conn.execute("SELECT p.path FROM imrec.photo AS p JOIN imrec.mapped USING (image_id) "
                               "WHERE cluster = 1 ORDER BY p.path LIMIT 1").fetchall()  # fmt: skip
    statements = [
        statement.replace("/photos/a.jpg", str(query))
        for block in re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
        for statement in block.split(";")
        if statement.strip()
    ]
    assert len(statements) == 5
    for statement in statements:
        assert conn.execute(statement.encode()).fetchall() != [], statement
