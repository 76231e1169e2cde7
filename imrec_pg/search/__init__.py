"""Search: query → features → ranking."""

from imrec_pg.search.options import Answer, FusedAnswer, FuseOptions, QueryImage, SearchOptions
from imrec_pg.search.queries import extract_features
from imrec_pg.search.searching import fuse, search

__all__ = [
    "Answer",
    "FuseOptions",
    "FusedAnswer",
    "QueryImage",
    "SearchOptions",
    "extract_features",
    "fuse",
    "search",
]
