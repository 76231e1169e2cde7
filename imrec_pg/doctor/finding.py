"""What a check finds, and how bad it is."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is, the best first.

    NOTICE: worth knowing, or it could not be checked. WARNING: it works, but slowly, or will break one day.
    ERROR: something does not work, or gives wrong answers.
    """

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        check: the name of the check; it stays the same between releases.
        what: what was found, one line.
        why: what it means; empty if all is well.
        fix: the command or SQL that fixes it, or what to do; empty if there is nothing to do.
    """

    check: str
    level: Level
    what: str
    why: str = ""
    fix: str = ""

    @property
    def serious(self) -> bool:
        """Whether somebody should act: a warning or an error."""
        return self.level in (Level.WARNING, Level.ERROR)


def ok(what: str) -> Finding:
    """Return a finding that all is well. Here and below, examine() fills in the name of the check."""
    return Finding("", Level.OK, what)


def notice(what: str, why: str, fix: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding("", Level.NOTICE, what, why, fix)


def warning(what: str, why: str, fix: str) -> Finding:
    """Return a finding about something that is slow, or will break one day."""
    return Finding("", Level.WARNING, what, why, fix)


def error(what: str, why: str, fix: str) -> Finding:
    """Return a finding about something that does not work, or gives wrong answers."""
    return Finding("", Level.ERROR, what, why, fix)


def megabytes(size: float) -> str:
    """Return a number of bytes in megabytes, always, so that two figures compare at a glance."""
    amount = size / 1e6
    return f"{amount:,.0f} MB" if amount >= 10 else f"{amount:.1f} MB"  # noqa: PLR2004 - two digits are enough
