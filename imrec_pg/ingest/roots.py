"""Named roots: where they lie on this host, and what becomes of their files when that changes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from imrec_pg.catalogue import root_files
from imrec_pg.catalogue import roots as store
from imrec_pg.catalogue.root_files import Contents
from imrec_pg.db.sessions import Run
from imrec_pg.errors import UnknownRootError, UsageError
from imrec_pg.ingest.find import check_folders, new_root
from imrec_pg.paths import display_path, slashed
from imrec_pg.records import Root

_MOST_LETTERS = 255


class Outcome(StrEnum):
    """What saying where a root lies has done.

    NEW: the root is new. MOVED: its canonical path is another now. MOUNTED: it lies somewhere else on this
    host alone. KEPT: that was known.
    """

    NEW = "new"
    MOVED = "moved"
    MOUNTED = "mounted"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class RootPlacement:
    """What adding a root, or mounting it somewhere else, did.

    Attributes:
        root: as it was before, but for a new one.
        folder: where it lies now, raw bytes.
        rewritten: files whose displayed path has changed.
    """

    root: Root
    folder: bytes
    outcome: Outcome
    rewritten: int


class NamedRoots:
    """The roots of a library as one host sees them; run calls what needs a connection with one."""

    def __init__(self, run: Run, host: str) -> None:
        self._run = run
        self._host = host

    def states(self) -> list[store.RootState]:
        """Return all roots with their place on this host and the number of their files, by name."""
        return self._run(store.states, self._host)

    def add(
        self,
        name: str,
        path: str | bytes | os.PathLike[str],
        *,
        on_progress: Callable[[int], None] = lambda _files: None,
    ) -> RootPlacement:
        """Say where a root lies on this host; an unknown name makes a new root.

        The canonical path of a root that no other host has moves with it, and the displayed paths of all its
        files. Each batch of them is a transaction: when it ends early, the same call does the rest.

        Raises:
            UsageError: the path is no folder, or another root has it, or files in it; or the name is none.
        """
        (folder,) = check_folders([path])
        here = self._run(store.roots_here, self._host)
        root = here.named(_given(name))
        self._check_free(here, folder, root)
        if root is None:
            root = new_root(here.all, folder, _checked(name))
            self._run(store.add_root, root, self._host)
            return RootPlacement(root, folder, Outcome.NEW, 0)
        canonical = self._run(store.mount, root.root_id, self._host, folder)
        rewritten = 0
        if canonical:
            moved = Root(root.root_id, root.name, folder)
            rewritten = self._run(root_files.rewrite_paths, moved, on_progress)
        if canonical and root.raw_path != folder:
            outcome = Outcome.MOVED
        else:
            outcome = Outcome.KEPT if root.mounted == folder else Outcome.MOUNTED
        return RootPlacement(root, folder, outcome, rewritten)

    def rename(self, old: str, new: str) -> None:
        """Give a root another name; its files stay as they are.

        Raises:
            UsageError: there is no such root, another has the new name, or that is no name.
        """
        self._run(store.rename, self._named(old).root_id, _checked(new))

    def contents(self, name: str) -> Contents:
        """Return what removing a root would forget.

        Raises:
            UsageError: there is no such root.
        """
        return self._run(root_files.contents, self._named(name).root_id)

    def remove(self, name: str, *, on_progress: Callable[[int], None] = lambda _files: None) -> Contents:
        """Forget a root, its files, and images that no other file holds; return how many of the two.

        Each batch is a transaction: when it ends early, the same call does the rest.

        Raises:
            UsageError: there is no such root.
        """
        return self._run(root_files.forget, self._named(name).root_id, on_progress)

    def forget_host(self, name: str, host: str) -> bool:
        """Forget where a root lies on a host, and nothing else; return whether that was known.

        Raises:
            UsageError: there is no such root.
        """
        return self._run(store.unmount, self._named(name).root_id, _given(host))

    def _named(self, name: str) -> Root:
        root = self._run(store.roots_here, self._host).named(_given(name))
        if root is None:
            raise UnknownRootError(_given(name))
        return root

    def _check_free(self, here: store.RootsHere, folder: bytes, root: Root | None) -> None:
        """Return when no other root of this host has files at the folder, which would be stored twice.

        Raises:
            UsageError: one has.
        """
        # Of a root that is said to lie on other hosts alone, the same path here may be another folder.
        others = [o for o in here.counting() if o is not root and (o.mounted is not None or not o.elsewhere)]
        other = store.RootsHere(others).around(folder)
        if other is None:
            return
        if other.here == folder:
            raise UsageError(
                f"{display_path(folder)} is the root {other.name} already: rename that root, or remove it"
            )
        if self._run(root_files.holds_below, other.root_id, folder[len(slashed(other.here)) :]):
            raise UsageError(
                f"files in {display_path(folder)} are known already, as part of the root {other.name}: "
                "use that root, else they would be stored twice"
            )


def _given(name: str) -> str:
    """Return a name as it is stored: what a shell hands on need not be UTF-8."""
    return display_path(os.fsencode(name))


def _checked(name: str) -> str:
    if not name.strip() or _given(name) != name or len(name) > _MOST_LETTERS:
        raise UsageError(f"a root's name is one line of 1 to {_MOST_LETTERS} letters, not {_given(name)!r}")
    return name
