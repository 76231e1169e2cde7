"""What is stored of one image: its metadata, where its files lie; and what photos can be filtered by."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.roots import RootsHere, roots_here
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, values
from imrec_pg.db.sessions import Run
from imrec_pg.errors import ImageNotFoundError
from imrec_pg.paths import absolute, display_path, slashed

_IMAGE = """
SELECT i.image_id, i.size, i.width, i.height, i.format, i.taken_at, i.camera_make, i.camera_model, i.truncated
FROM imrec.image AS i WHERE i.image_id = %s AND EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)
"""
_FILES = """
SELECT f.file_id, f.root_id, f.relative_path, to_timestamp(f.mtime_ns / 1e9) AS modified_at, x.since AS missing_since
FROM imrec.file AS f
LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id
WHERE f.image_id = %s ORDER BY x.since NULLS FIRST, f.path
"""
# The same for a reader of some roots.
_VISIBLE_IMAGE = """
SELECT image_id, size, width, height, format, taken_at, camera_make, camera_model, truncated
FROM imrec.visible_photo WHERE image_id = %s LIMIT 1
"""
_VISIBLE_FILES = """
SELECT file_id, root_id, relative_path, modified_at, missing_since
FROM imrec.visible_photo WHERE image_id = %s ORDER BY missing_since NULLS FIRST, path
"""
_SOME = """
WITH n AS MATERIALIZED (
    SELECT i.image_id, i.width, i.height FROM imrec.image AS i WHERE i.image_id > %s ORDER BY i.image_id LIMIT %s
)
SELECT n.image_id, f.path, n.width, n.height FROM n
INNER JOIN imrec_internal.image_file AS f ON f.image_id = n.image_id
WHERE f.image_id = ANY (ARRAY(SELECT n.image_id FROM n)) ORDER BY n.image_id
"""
_VISIBLE_SOME = """
SELECT DISTINCT ON (image_id) image_id, path, width, height FROM imrec.visible_photo
WHERE image_id > %s ORDER BY image_id, path LIMIT %s
"""
# Thumbnails ask for this, hundreds at a time: by keys.
_LOCAL = """
SELECT f.relative_path, coalesce(m.raw_path, o.raw_path) AS folder, x.file_id IS NOT NULL AS missing
FROM imrec.file AS f
INNER JOIN imrec.root AS o ON o.root_id = f.root_id
LEFT JOIN imrec.mount AS m ON m.root_id = f.root_id AND m.host = current_setting('imrec.host', true)
LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id
WHERE f.image_id = %s ORDER BY x.file_id IS NOT NULL, m.root_id IS NULL, f.path, f.file_id LIMIT 20
"""
_VISIBLE_LOCAL = """
SELECT relative_path, folder, missing FROM imrec_internal.visible_details(current_user, ARRAY[%s::uuid])
ORDER BY missing, file_id LIMIT 20
"""
_CAMERAS = SQL("""
SELECT concat_ws(' ', camera_make, camera_model) AS name, count(DISTINCT image_id) AS images FROM {}
WHERE camera_make IS NOT NULL OR camera_model IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200
""")
_FORMATS = SQL(
    "SELECT format AS name, count(DISTINCT image_id) AS images FROM {} GROUP BY 1 ORDER BY 2 DESC, 1"
)
_FOLDERS = SQL("""
SELECT DISTINCT substring(relative_path FROM %(start)s FOR position('/'::bytea IN rest) - 1) AS name
FROM (
    SELECT relative_path, substring(relative_path FROM %(start)s) AS rest FROM {}
    WHERE root_id = %(root)s AND substring(relative_path FROM 1 FOR %(start)s - 1) = %(below)s
) AS f
WHERE position('/'::bytea IN rest) > 0
ORDER BY 1 LIMIT 1000
""")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that holds an image.

    Attributes:
        path: on this host, for display.
        root: the name of its root.
        missing_since: when ingest first did not find it any more.
    """

    file_id: UUID
    path: str
    root: str
    modified_at: datetime
    missing_since: datetime | None


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """A stored image and the files that hold it; those that are there come first.

    Attributes:
        size: of each of its files, in bytes.
        width: as shown, height likewise.
    """

    image_id: UUID
    size: int
    width: int
    height: int
    format: str
    taken_at: datetime | None
    camera_make: str | None
    camera_model: str | None
    truncated: bool
    files: tuple[ImageFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image in a list; path is that of one of its files, as SQL knows it."""

    image_id: UUID
    path: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Where a file lies on this host.

    Attributes:
        folder: its root's; raw bytes, as relative_path.
        missing: whether it was gone when ingest last looked.
    """

    folder: bytes
    relative_path: bytes
    missing: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """A value that photos can be filtered by, and how many images have it."""

    name: str
    images: int


@dataclass(frozen=True, slots=True)
class _File:
    file_id: UUID
    root_id: UUID
    relative_path: bytes
    modified_at: datetime
    missing_since: datetime | None


class StoredImages:
    """What is stored of images, and what they can be filtered by; made by Library.images.

    Args:
        run: calls functions with a connection.
        host: this one.
    """

    def __init__(self, run: Run, host: str) -> None:
        self._run = run
        self._host = host

    def get(self, image_id: UUID) -> ImageDetails:
        """Return what is stored of an image.

        Raises:
            ImageNotFoundError: no image that this role may see has the id.
        """
        return self._run(lambda conn: _details(conn, image_id, roots_here(conn, self._host)))

    def some(self, k: int, after: UUID | None = None) -> list[ListedImage]:
        """Return the next images in the order of their ids, which are digests: as good as a random sample."""
        return self._run(_some, k, after or UUID(int=0))

    def local_files(self, image_id: UUID) -> list[LocalFile]:
        """Return where the files of an image lie on this host, the likeliest ones first; at most 20.

        Raises:
            ImageNotFoundError: no image that this role may see has the id.
        """
        return self._run(_local_files, image_id)

    def cameras(self) -> list[Facet]:
        """Return the cameras, make and model as one, those with most images first; at most 200."""
        return self._run(_facets, _CAMERAS)

    def formats(self) -> list[Facet]:
        """Return the formats of the images, the most frequent first."""
        return self._run(_facets, _FORMATS)

    def folders(self, under: str | None = None) -> list[str]:
        """Return the folders with photos right below one, for display; those of the roots where under is None."""
        return self._run(lambda conn: _folders(conn, roots_here(conn, self._host), under))


def _details(conn: Connection, image_id: UUID, roots: RootsHere) -> ImageDetails:
    some = is_restricted(conn)
    with translated(conn):
        found = all_rows(conn, ImageDetails, _VISIBLE_IMAGE if some else _IMAGE, (image_id,))
        files = all_rows(conn, _File, _VISIBLE_FILES if some else _FILES, (image_id,))
    if not found:
        raise ImageNotFoundError(f"no image {image_id} is stored")
    names = {root.root_id: root.name for root in roots.all}
    return replace(
        found[0],
        files=tuple(
            ImageFile(file.file_id, path, names[file.root_id], file.modified_at, file.missing_since)
            for file in files
            if (path := roots.shown(file.root_id, file.relative_path)) is not None
        ),
    )


def _some(conn: Connection, k: int, after: UUID) -> list[ListedImage]:
    with translated(conn):
        return all_rows(conn, ListedImage, _VISIBLE_SOME if is_restricted(conn) else _SOME, (after, k))


def _local_files(conn: Connection, image_id: UUID) -> list[LocalFile]:
    with translated(conn):
        found = all_rows(conn, LocalFile, _VISIBLE_LOCAL if is_restricted(conn) else _LOCAL, (image_id,))
    if not found:
        raise ImageNotFoundError(f"no image {image_id} is stored")
    return found


def _facets(conn: Connection, statement: SQL) -> list[Facet]:
    table = Identifier("imrec", "visible_photo" if is_restricted(conn) else "image")
    with translated(conn):
        return all_rows(conn, Facet, statement.format(table))


def _folders(conn: Connection, roots: RootsHere, under: str | None) -> list[str]:
    if under is None:
        return sorted(display_path(root.here) for root in roots.all)
    path = absolute(under)
    root = roots.around(path)
    if root is None:
        return []
    below = slashed(path)[len(slashed(root.here)) :]
    table = Identifier("imrec", "visible_photo" if is_restricted(conn) else "file")
    parameters = {"root": root.root_id, "start": len(below) + 1, "below": below}
    with translated(conn):
        names = values(conn, bytes, _FOLDERS.format(table), parameters)
    return [display_path(slashed(path) + name) for name in names]
