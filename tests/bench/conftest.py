"""Generated rows, as the sections search, hamming and load measure on."""

from pathlib import Path

import pytest

from benchmarks.dataset import Dataset, generate
from benchmarks.feature_rows import FeatureRows
from benchmarks.generated import Mixture


@pytest.fixture(scope="session")
def block() -> tuple[FeatureRows, FeatureRows]:
    """Return rows to store, and queries."""
    return Mixture().block(0)


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    return generate(tmp_path / "rows", 300)
