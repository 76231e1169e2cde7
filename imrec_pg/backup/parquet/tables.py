"""Which tables an export holds, and what kind each of them is; all of it follows from db.metadata."""

from typing import Any

from sqlalchemy import Column, DefaultClause, Table, UniqueConstraint
from sqlalchemy.sql.functions import now

from imrec_pg.db.metadata import metadata

LEFT_OUT = frozenset(
    {
        "access",  # who sees what is granted anew: another server's roles are others
        "access_root",
        "applied_sql",
        "claim",
        # Clusters and maps are made again from the features.
        *("cluster", "cluster_member", "clustering", "map", "map_cell", "map_point", "map_projection"),
        # They follow from the features; what people said of duplicates is exported.
        *("duplicate_member", "duplicate_pair", "duplicate_search", "duplicate_seen", "duplicate_tuning"),
        "evidence",  # is fitted again on what is imported
        "hamming_flip",  # the same in every database: a migration makes it
        "lock",
        # Found again from the features.
        *("reduction", "reduction_axis", "embedding_reduced", "histogram_reduced"),
        *("embedding_block", "histogram_block"),
        "tuning",  # was measured of an index, and an import builds another one
        "worker",
    }
)
"""Tables that tell of the moment or the server, not of photos."""


def exported_tables() -> tuple[Table, ...]:
    """Return the tables of an export, each after those that it refers to."""
    return tuple(table for table in metadata.sorted_tables if table.name not in LEFT_OUT)


def is_feature(table: Table) -> bool:
    """Return whether a table has one row an image, which goes when the image goes."""
    keys = list(table.primary_key.columns)
    return len(keys) == 1 and any(
        key.column.table.name == "image" and key.ondelete == "CASCADE" for key in keys[0].foreign_keys
    )


def key_of(table: Table) -> tuple[str, ...]:
    """Return the names of the primary key's columns."""
    return tuple(column.name for column in table.primary_key.columns)


def unique_keys(table: Table) -> list[tuple[str, ...]]:
    """Return the columns of each key that no two rows share, the primary one first."""
    others = [key for key in table.constraints if isinstance(key, UniqueConstraint)]
    return [key_of(table), *(tuple(column.name for column in key.columns) for key in others)]


def content_of(table: Table) -> tuple[str, ...]:
    """Return the columns besides the key that do not just tell when the row was written."""
    return tuple(column.name for column in table.columns if not column.primary_key and not _is_clock(column))


def _is_clock(column: Column[Any]) -> bool:
    default = column.server_default
    return isinstance(default, DefaultClause) and isinstance(default.arg, now)
