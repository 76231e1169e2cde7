"""A library as Parquet files, one a table: for backups, other databases and other programs (docs/adr/0018).

Needs pyarrow, which the extra "parquet" installs.
"""

from imrec_pg.backup.parquet.importing import Imported, import_library
from imrec_pg.backup.parquet.writing import Exported, export_library

__all__ = ["Exported", "Imported", "export_library", "import_library"]
