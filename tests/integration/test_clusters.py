"""Clusters in the database: what is stored, replaced, kept and refused; on a real server."""

import threading
from collections.abc import Callable
from uuid import UUID

import numpy as np
import psycopg
import pytest
from integration.analysed import EACH, GROUPS, TOTAL, add_groups, embedding, group_of
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from support import AddImage, bare_session, needs, settings_for

from imrec_pg.access import grants
from imrec_pg.analysis import clusters, stored
from imrec_pg.analysis.placing import Placer, place_lacking
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import (
    ImrecError,
    NoClustersError,
    NoMapError,
    PermissionDeniedError,
    StoreError,
    UsageError,
)
from imrec_pg.records import Feature, GrantedRole
from imrec_pg.settings import Settings

pytestmark = needs("umap", "kneed")

MEMBERS = "SELECT image_id, cluster, distance FROM imrec.cluster_member ORDER BY image_id"


def members(conn: Connection) -> dict[UUID, int]:
    return {key: cluster for key, cluster, _ in conn.execute(MEMBERS).fetchall()}  # type: ignore[misc]


def test_groups_are_found_and_described(conn: Connection) -> None:
    ids = add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    found, groups = members(conn), group_of(ids)
    assert len({(cluster, groups[key]) for key, cluster in found.items()}) == GROUPS
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert (made.k, made.k_chosen, made.images, made.curve) == (GROUPS, "given", TOTAL, ())
    assert made.silhouette is not None
    assert made.silhouette > 0.5
    for one in made.clusters:
        group = groups[one.medoid]
        assert (one.size, one.year, one.camera) == (EACH, 2000 + group, f"Acme C{group}")
        assert one.folder == f"/photos/trips/{group}"
        # By hand: the mean of unit vectors, and the photo nearest to it.
        rows = np.stack([embedding(group, n).astype(np.float32) for n in range(EACH)]).astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        distances = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        assert one.centre == pytest.approx(rows.mean(axis=0), abs=1e-5)
        assert one.medoid == ids[group * EACH + int(distances.argmin())]
        assert one.spread == pytest.approx(distances.mean(), abs=1e-5)


def test_auto_finds_the_number_of_groups_and_keeps_the_curve(conn: Connection) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING)
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert (made.k, made.k_chosen) == (GROUPS, "auto")
    assert [k for k, _ in made.curve] == sorted({k for k, _ in made.curve})
    assert made.curve[0][0] == 1
    assert made.curve[0][1] > 10 * dict(made.curve)[GROUPS] / 2


def test_what_holds_for_fewer_than_nine_in_ten_is_not_said(conn: Connection) -> None:
    add_groups(conn)
    for change, names in (("taken_at = NULL", "0[0-2]"), ("camera_model = 'Acme X'", "0[01]")):
        conn.execute(
            f"UPDATE imrec.image SET {change} WHERE image_id IN "
            f"(SELECT image_id FROM imrec.file WHERE path ~ '/0/{names}.jpg')".encode()
        )
    clusters.build(conn, Feature.EMBEDDING, 1)
    (one,) = stored.clusters(conn, Feature.EMBEDDING).clusters
    assert (one.folder, one.year, one.camera) == ("/photos/trips", None, None)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    (first,) = [c for c in stored.clusters(conn, Feature.EMBEDDING).clusters if c.folder == "/photos/trips/0"]
    # 3 of 25 have no date, 2 of 25 another camera.
    assert (first.year, first.camera) == (None, "Acme C0")


def test_the_same_seed_gives_the_same_clusters(conn: Connection) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.HISTOGRAM, 7, seed=5)
    first = conn.execute(MEMBERS).fetchall()
    clusters.build(conn, Feature.HISTOGRAM, 7, seed=5)
    assert conn.execute(MEMBERS).fetchall() == first
    clusters.build(conn, Feature.HISTOGRAM, 7, seed=6)
    assert conn.execute(MEMBERS).fetchall() != first


def test_clusters_of_each_feature_stand_side_by_side_and_are_dropped_alone(conn: Connection) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, 3)
    clusters.build(conn, Feature.HISTOGRAM, 5)
    clusters.build(conn, Feature.EMBEDDING, 2)
    assert [(one.feature, one.k) for one in stored.clusterings(conn)] == [("embedding", 2), ("histogram", 5)]
    assert conn.execute("SELECT count(*) FROM imrec.cluster_member").fetchone() == (2 * TOTAL,)
    assert stored.drop_clusters(conn, Feature.EMBEDDING)
    assert not stored.drop_clusters(conn, Feature.EMBEDDING)
    assert [one.feature for one in stored.clusterings(conn)] == ["histogram"]
    with pytest.raises(NoClustersError):
        stored.clusters(conn, Feature.EMBEDDING)


def test_one_photo_is_one_cluster(conn: Connection, add_image: AddImage) -> None:
    add_image("a.jpg")
    clusters.build(conn, Feature.EMBEDDING)
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert (made.k, made.silhouette) == (1, None)
    assert made.clusters[0].spread == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("k", ["auto", 3])
def test_photos_that_are_all_the_same_are_one_cluster(
    conn: Connection, add_image: AddImage, k: int | str
) -> None:
    add_image.many({"name": f"{n}.jpg", "embedding": embedding(0, 0)} for n in range(6))
    clusters.build(conn, Feature.EMBEDDING, k)
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert [one.size for one in made.clusters] == [6]
    assert made.k == 1


@pytest.mark.parametrize(
    ("feature", "k", "said"),
    [
        (Feature.EMBEDDING, 0, "from 1"),
        (Feature.EMBEDDING, 10**9, "from 1 to 10,000"),
        (Feature.EMBEDDING, "many", "or auto, not many"),
        (Feature.EMBEDDING, 4, "4 clusters cannot be made of 3 photos"),
        (Feature.AVERAGE_HASH, 2, "average_hash has no mean"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    conn: Connection, add_image: AddImage, feature: Feature, k: int | str, said: str
) -> None:
    add_image.many({"name": f"{n}.jpg"} for n in range(3))
    clusters.build(conn, Feature.EMBEDDING, 2)
    with pytest.raises(UsageError, match=said):
        clusters.build(conn, feature, k)
    assert stored.clusters(conn, Feature.EMBEDDING).k == 2


def test_an_empty_library_and_a_feature_that_no_photo_has_are_told(
    conn: Connection, add_image: AddImage
) -> None:
    with pytest.raises(UsageError, match="no embedding of any photo"):
        clusters.build(conn, Feature.EMBEDDING)
    add_image("a.jpg")
    conn.execute("DELETE FROM imrec.histogram")
    with pytest.raises(UsageError, match="no histogram of any photo"):
        clusters.build(conn, Feature.HISTOGRAM)
    with pytest.raises(NoMapError):
        clusters.build_on_map(conn, Feature.EMBEDDING)


def test_photos_deleted_meanwhile_are_in_no_cluster(conn: Connection, settings: Settings) -> None:
    ids = add_groups(conn)

    def prune(step: str, _done: int, _total: int | None) -> None:
        if step == "storing":
            with bare_session(settings) as other:
                other.execute("DELETE FROM imrec.file WHERE image_id = ANY (%s)", (ids[:EACH],))
                other.execute("DELETE FROM imrec.image WHERE image_id = ANY (%s)", (ids[:EACH],))

    clusters.build(conn, Feature.EMBEDDING, GROUPS, on_progress=prune)
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert members(conn).keys() == set(ids[EACH:])
    assert (made.k, made.images, made.lacking) == (GROUPS - 1, TOTAL - EACH, 0)
    assert {one.medoid for one in made.clusters} <= set(ids[EACH:])


def test_photos_stored_meanwhile_are_assigned_at_the_end(conn: Connection, settings: Settings) -> None:
    add_groups(conn)

    def store(step: str, _done: int, _total: int | None) -> None:
        if step == "storing":
            with open_session(settings) as other:
                AddImage(other)("new.jpg", embedding=embedding(2, 99), image_id=UUID(int=9999))

    clusters.build(conn, Feature.EMBEDDING, GROUPS, on_progress=store)
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert (made.later, made.lacking) == (1, 0)
    assert members(conn)[UUID(int=9999)] == members(conn)[UUID(int=2 * EACH + 1)]


@pytest.mark.parametrize("table", ["cluster_member", "cluster"])
def test_a_build_that_fails_while_it_stores_leaves_the_last_clusters(conn: Connection, table: str) -> None:
    """As a full disk would let it fail; here it is a constraint."""
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, 2)
    before = stored.clusterings(conn)[0].clustering_id, members(conn)
    conn.execute(f"ALTER TABLE imrec.{table} ADD CONSTRAINT full_disk CHECK (cluster < 2) NOT VALID".encode())
    with pytest.raises(StoreError):
        clusters.build(conn, Feature.EMBEDDING, GROUPS)
    assert (stored.clusterings(conn)[0].clustering_id, members(conn)) == before


def test_only_the_owner_may_and_who_may_only_ingest_places_new_photos(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    role = new_role()
    grants.grant(conn, GrantedRole.INGESTER, role, create=True)
    with open_session(settings_for(make_conninfo(dsn, user=role))) as own:
        with pytest.raises(PermissionDeniedError, match="only the owner"):
            clusters.build(own, Feature.EMBEDDING, 2)
        for statement in (
            "DELETE FROM imrec.clustering",
            "INSERT INTO imrec.cluster SELECT * FROM imrec.cluster",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                own.execute(statement.encode())
        new = AddImage(own, b"/more")("new.jpg", embedding=embedding(1, 77), image_id=UUID(int=777))
        Placer().place(own, {Feature.EMBEDDING: [new.image_id]})
    assert members(conn)[UUID(int=777)] == members(conn)[UUID(int=EACH + 1)]


def test_a_role_that_may_not_place_photos_is_warned_once_and_stores_them(
    conn: Connection, dsn: str, new_role: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    role = new_role()
    grants.grant(conn, GrantedRole.READER, role, create=True)
    with open_session(settings_for(make_conninfo(dsn, user=role))) as own:
        placer = Placer()
        for _ in range(2):
            placer.place(own, {Feature.EMBEDDING: [UUID(int=1)]})
    assert caplog.text.count("not put into clusters") == 1


def test_two_builds_at_once_come_one_after_the_other(conn: Connection, settings: Settings) -> None:
    add_groups(conn)
    waited, errors = threading.Event(), list[BaseException]()

    def second() -> None:
        try:
            with open_session(settings) as other:
                clusters.build(other, Feature.EMBEDDING, 3, on_wait=waited.set)
        except BaseException as error:  # noqa: BLE001 - to be shown by the test
            errors.append(error)

    thread = threading.Thread(target=second)

    def start(step: str, _done: int, _total: int | None) -> None:
        if step == "storing" and not thread.ident:
            thread.start()
            assert waited.wait(60)

    clusters.build(conn, Feature.EMBEDDING, 2, on_progress=start)
    thread.join(60)
    assert errors == []
    assert [one.k for one in stored.clusterings(conn)] == [3]


def test_new_photos_and_those_computed_anew_find_their_cluster(conn: Connection, add_image: AddImage) -> None:
    ids = add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    new = add_image("new.jpg", embedding=embedding(3, 99), image_id=UUID(int=9999))
    assert stored.clusters(conn, Feature.EMBEDDING).lacking == 1
    place_lacking(conn)
    assert members(conn)[new.image_id] == members(conn)[ids[-1]]
    moved = embedding(1, 50).astype(np.float32)
    conn.execute("UPDATE imrec.embedding SET embedding = %s WHERE image_id = %s", (moved, ids[0]))
    Placer().place(conn, {Feature.EMBEDDING: [ids[0]]})
    assert members(conn)[ids[0]] == members(conn)[ids[EACH]]
    made = stored.clusters(conn, Feature.EMBEDDING)
    assert (made.later, made.lacking) == (2, 0)


def test_a_placer_notices_that_clusters_were_made_anew(conn: Connection, add_image: AddImage) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, 2)
    placer = Placer()
    placer.place(conn, {Feature.EMBEDDING: [UUID(int=1)]})
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    new = add_image("new.jpg", embedding=embedding(2, 99), image_id=UUID(int=9999))
    placer.place(conn, {Feature.EMBEDDING: [new.image_id]})
    assert members(conn)[new.image_id] == members(conn)[UUID(int=2 * EACH + 1)]


def test_without_the_extra_the_message_names_it(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imrec_pg.analysis.extras.find_spec", lambda name: None if name == "kneed" else name)
    with pytest.raises(ImrecError, match=r"pip install 'imrec-pg\[map\]'"):
        clusters.build(conn, Feature.EMBEDDING)


def test_deleted_photos_leave_their_cluster(conn: Connection) -> None:
    ids = add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, GROUPS)
    conn.execute("DELETE FROM imrec.file WHERE image_id = %s", (ids[0],))
    conn.execute("DELETE FROM imrec.image WHERE image_id = %s", (ids[0],))
    sizes = conn.execute("SELECT size::integer FROM imrec.clusters() ORDER BY 1").fetchall()
    assert [size for (size,) in sizes] == [EACH - 1, *[EACH] * (GROUPS - 1)]


def test_a_lost_connection_is_no_wrong_answer(conn: Connection) -> None:
    add_groups(conn)
    clusters.build(conn, Feature.EMBEDDING, 2)
    conn.close()
    with pytest.raises(ImrecError):
        stored.clusterings(conn)
    with pytest.raises((ImrecError, psycopg.Error)):
        clusters.build(conn, Feature.EMBEDDING, 2)
