"""Memory: does it hold the data, and an index build?"""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from imrec_pg.catalogue.index import index_name
from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined
from imrec_pg.doctor.finding import Finding, megabytes, notice, ok, warning
from imrec_pg.doctor.indexes import USUAL
from imrec_pg.records import Feature

SHM = Path("/dev/shm")  # noqa: S108 - measured, not written
_MIB = 1024 * 1024
# Of 512 floats, while an HNSW index is built.
_BYTES_A_ROW = 2_800
# The parallel queries of others take some of /dev/shm meanwhile.
_SHM_MARGIN = 256 * _MIB
# What a share of shared_buffers is too small even with the system's cache behind it.
_FAR_TOO_SMALL = 4
_DEFAULT_WORK_MEM = 4 * _MIB


def shared_buffers(examined: Examined) -> Iterator[Finding]:
    """Yield whether PostgreSQL's own cache holds what a search reads: the HNSW indexes, or else vectors."""
    size = examined.setting_bytes("shared_buffers")
    indexed = sum(index.bytes for index in examined.hnsw)
    vectors = [table.bytes for table in examined.tables.values() if table.name in set(Feature)]
    hot, what = (indexed, "the HNSW indexes") if indexed else (max(vectors, default=0), "the largest table")
    if hot <= size:
        yield ok(f"shared_buffers ({megabytes(size)}) holds {what} ({megabytes(hot)})")
        return
    tell = warning if hot > _FAR_TOO_SMALL * size else notice
    why = "What is not in it is fetched from the system's cache or the disk, page by page, for each search."
    wanted, machine = math.ceil(1.2 * hot / _MIB), examined.machine
    found = f"shared_buffers ({megabytes(size)}) is smaller than {what} ({megabytes(hot)})"
    if machine is None:
        mend = examined.set_server("shared_buffers", f"{wanted}MB")
        yield tell(found, why, f"at most a quarter of the server's memory: {mend}")
    elif size // _MIB < machine.memory // 4:
        value = f"{min(wanted, machine.memory // 4)}MB"
        yield tell(found, why, examined.set_server("shared_buffers", value))
    else:
        yield notice(found, f"{why} It is a quarter of this machine's memory already.", "more memory")


def index_memory(examined: Examined) -> Iterator[Finding]:
    """Yield whether an index build has the memory that it needs."""
    size = examined.setting_bytes("maintenance_work_mem")
    indexed = {index.table for index in examined.hnsw} | {"embedding"}
    rows = max((table.rows for table in examined.tables.values() if table.name in indexed), default=0)
    needed = rows * _BYTES_A_ROW
    found = f"maintenance_work_mem ({megabytes(size)})"
    if needed <= size:
        yield ok(f"{found} is enough to build an index of about {rows:,} rows")
        return
    wanted, machine = math.ceil(1.1 * needed / _MIB), examined.machine
    if machine is not None:
        wanted = min(wanted, machine.memory // 2)
    found += f" is less than an index of about {rows:,} rows takes to build ({megabytes(needed)})"
    why = "What does not fit is built several times as slowly."
    if wanted * _MIB <= size:
        yield notice(found, f"{why} It is half of this machine's memory already.", "more memory")
    elif _due(examined):
        build = f"imrec-pg index build {USUAL[0]} {USUAL[1]}"
        yield warning(found, why, f"PGOPTIONS='-c maintenance_work_mem={wanted}MB' {build}")
    else:
        mend = examined.set_database("maintenance_work_mem", f"{wanted}MB")
        yield notice(found, f"{why} It matters when an index is built anew.", mend)


def shared_memory(examined: Examined) -> Iterator[Finding]:
    """Yield whether parallel index builds find their memory: in /dev/shm, of which Docker gives 64 MB."""
    kind = examined.setting("dynamic_shared_memory_type")
    workers = int(examined.setting("max_parallel_maintenance_workers"))
    needed = examined.setting_bytes("maintenance_work_mem") + _SHM_MARGIN
    if kind == "mmap":
        yield notice(
            "dynamic_shared_memory_type is mmap",
            "A parallel index build writes its memory to disk.",
            examined.set_server("dynamic_shared_memory_type", "sysv"),
        )
    elif kind != "posix" or workers == 0:
        yield ok(f"no index build needs /dev/shm ({kind}, {workers} parallel workers)")
    elif examined.machine is None:
        yield notice(
            "the server's /dev/shm cannot be seen from here",
            f"A parallel index build takes maintenance_work_mem from it, here up to {megabytes(needed)} in "
            "all; Docker's 64 MB break it.",
            "in a container: docker exec CONTAINER df -h /dev/shm; if that is less, shm_size (--shm-size)",
        )
    elif SHM.is_dir() and (free := shutil.disk_usage(SHM).free) < needed:
        yield warning(
            f"{SHM} has {megabytes(free)} free, and a parallel index build may take {megabytes(needed)}",
            'It then fails with "could not resize shared memory segment".',
            f"more of it (Docker: shm_size), or {examined.set_server('dynamic_shared_memory_type', 'sysv')}",
        )
    else:
        yield ok(f"a parallel index build finds {megabytes(needed)} of shared memory")


def work_memory(examined: Examined) -> Iterator[Finding]:
    """Yield whether work_mem bounds searches: an iterative index scan ends when it has used it up."""
    size = examined.setting_bytes("work_mem")
    if size < _DEFAULT_WORK_MEM:
        yield notice(
            f"work_mem is {size // 1024} kB, less than PostgreSQL's own 4 MB",
            "An index scan with a filter ends when it has used that up, and gives fewer rows.",
            examined.set_database("work_mem", "16MB"),
        )
    else:
        yield ok(f"work_mem is {megabytes(size)}")


def _due(examined: Examined) -> bool:
    table, name = examined.tables.get("embedding"), index_name(*USUAL)
    built = any(index.name == name for index in examined.hnsw)
    return table is not None and table.rows >= WORTH_AN_INDEX and not built
