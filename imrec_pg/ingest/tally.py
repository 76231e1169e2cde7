"""Counts of what an ingest has done so far, for the progress bar and the summary."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of files; new counts images.

    Attributes:
        found: candidates found so far.
        unchanged: known, with the same size and time.
        known_failures: failed before, and unchanged since.
        new: images stored for the first time.
        duplicates: files whose content was stored already, under another name.
        replaced: files that held another image before.
        completed: known files that got lacking features or a new time.
        elsewhere: files that another ingest is working on, or has finished meanwhile.
        failed: files that could not be read this time.
        unreadable: folders and entries that could not be listed.
        ignored: files whose names are not those of images.
        excluded: files and folders that the user's patterns left out.
        previews: folders of small copies that were skipped, inside the libraries of other programs.
        written: files written to the database, failures included.
        total: the number of candidates, once counted.
    """

    found: int = 0
    unchanged: int = 0
    known_failures: int = 0
    new: int = 0
    duplicates: int = 0
    replaced: int = 0
    completed: int = 0
    elsewhere: int = 0
    failed: int = 0
    unreadable: int = 0
    ignored: int = 0
    excluded: int = 0
    previews: int = 0
    written: int = 0
    total: int | None = None
    on_progress: Callable[["Tally"], None] | None = field(default=None, repr=False)

    @property
    def done(self) -> int:
        """Files that need no more work."""
        return self.unchanged + self.known_failures + self.elsewhere + self.written

    def add_work_of(self, again: "Tally") -> None:
        """Add the work of a second walk over the same files; other ingests did what it left to them."""
        self.new += again.new
        self.duplicates += again.duplicates
        self.replaced += again.replaced
        self.completed += again.completed
        self.failed += again.failed
        self.written += again.written
        self.elsewhere = max(0, self.elsewhere - again.written)

    def report(self) -> None:
        """Call on_progress."""
        if self.on_progress is not None:
            self.on_progress(self)
