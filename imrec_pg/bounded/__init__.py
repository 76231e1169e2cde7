"""Processes with bounded memory and time, for work on files that anybody may have made."""

from imrec_pg.bounded.children import Children, DiedError
from imrec_pg.bounded.limits import ProcessLimits

__all__ = ["Children", "DiedError", "ProcessLimits"]
