"""What an ingest has done so far, for the progress bar and the summary."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of files, but for new, which counts images.

    Attributes:
        found: candidates met so far.
        unchanged: known, with the same size and time.
        known_failures: failed before and not changed since.
        new: images stored for the first time.
        duplicates: files whose content was stored already, under another name.
        replaced: files that held another image before.
        completed: known files that were given missing features or a new time.
        elsewhere: files that another ingest deals with, or has dealt with meanwhile.
        failed: files that could not be read, this time.
        unreadable: folders and entries that could not be listed.
        ignored: files that are no images by their name.
        written: files that reached the database, failures included.
        total: how many candidates there are, once that is counted.
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
    written: int = 0
    total: int | None = None
    on_progress: Callable[["Tally"], None] | None = field(default=None, repr=False)

    @property
    def done(self) -> int:
        """Files that need no more work."""
        return self.unchanged + self.known_failures + self.elsewhere + self.written

    def add_work_of(self, again: "Tally") -> None:
        """Add what a second walk over the same files has done; what it left to others, they did."""
        self.new += again.new
        self.duplicates += again.duplicates
        self.replaced += again.replaced
        self.completed += again.completed
        self.failed += again.failed
        self.written += again.written
        self.elsewhere = max(0, self.elsewhere - again.written)

    def report(self) -> None:
        """Tell whoever watches."""
        if self.on_progress is not None:
            self.on_progress(self)
