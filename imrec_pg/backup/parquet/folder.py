"""The folder of an export."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imrec_pg import output_folders, outputs

SUFFIX = ".parquet"
_MARK = b"imrec.schema"  # in the metadata at the end of each file


@contextmanager
def whole_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to write an export into, which becomes the target; see output_folders.whole_folder."""
    with output_folders.whole_folder(target, "an export", _is_export, overwrite=overwrite) as partial:
        yield partial


def _is_export(folder: Path) -> bool:
    """Return whether a folder holds files of an export, and nothing else, not even other Parquet files."""
    files = list(folder.iterdir())
    return any(file.name == f"image{SUFFIX}" for file in files) and all(
        file.name.endswith(SUFFIX) and outputs.is_marked(file, (b"PAR1",), _MARK) for file in files
    )
