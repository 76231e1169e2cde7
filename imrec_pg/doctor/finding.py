"""What a check says, and how bad it is."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is, the best first.

    NOTICE is worth knowing, or could not be checked. WARNING works, but slowly, or will break one day. ERROR
    does not work, or gives wrong answers.
    """

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        check: the check's name; the same from release to release.
        what: what was found, in a line.
        why: what follows from it; empty where all is well.
        mend: the command or SQL that mends it, or what to do; empty when there is nothing to do.
    """

    check: str
    level: Level
    what: str
    why: str = ""
    mend: str = ""

    @property
    def serious(self) -> bool:
        """Whether something should be done: a warning or an error."""
        return self.level in (Level.WARNING, Level.ERROR)


def ok(what: str) -> Finding:
    """Return a finding that all is well; as of all here, the runner of the check fills in its name."""
    return Finding("", Level.OK, what)


def notice(what: str, why: str, mend: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding("", Level.NOTICE, what, why, mend)


def warning(what: str, why: str, mend: str) -> Finding:
    """Return a finding of what is slow, or will break one day."""
    return Finding("", Level.WARNING, what, why, mend)


def error(what: str, why: str, mend: str) -> Finding:
    """Return a finding of what does not work, or gives wrong answers."""
    return Finding("", Level.ERROR, what, why, mend)


def megabytes(size: float) -> str:
    """Return a number of bytes for people; always of megabytes, so that two compare at a glance."""
    amount = size / 1e6
    return f"{amount:,.0f} MB" if amount >= 10 else f"{amount:.1f} MB"  # noqa: PLR2004 - two digits tell enough
