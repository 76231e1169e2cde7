"""Settings that decide how queries are planned, and what psql users get from an index."""

from collections.abc import Iterator

from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, megabytes, notice, ok

_DEFAULT_EF_SEARCH = 40
# PostgreSQL's default is 4, which is for disks with arms.
_COST_OF_A_DISK_WITH_ARMS = 3.0
# A table of less is scanned by one process alone (min_parallel_table_scan_size).
_SCANNED_BY_SEVERAL = 8 * 1024 * 1024
_FEWEST_CPUS = 2
# What the planner adds for a row that is compared, beside the reading of its page, which costs 1.
_COST_OF_A_ROW = 0.02
# Many servers are built without one, the one that imrec-pg runs among them.
_COMPILER = "SELECT pg_catalog.pg_jit_available()"


def psql(examined: Examined) -> Iterator[Finding]:
    """Yield whether an index gives psql users all rows they ask for; `imrec-pg search` sees to itself."""
    if not examined.hnsw:
        return
    # Before a session has touched a vector, pgvector's settings are not known in it.
    examined.conn.execute("SELECT '[1]'::vector")
    ef_search = int(examined.setting("hnsw.ef_search"))
    if examined.setting("hnsw.iterative_scan") == "off":
        mend = examined.set_database("hnsw.iterative_scan", "strict_order")
        yield notice(
            f"in psql an index gives {ef_search} rows at most: hnsw.iterative_scan is off",
            f"LIMIT 100 ends after {ef_search} rows, and with a filter there are fewer still.",
            mend if examined.settings.embedded else f"SELECT '[1]'::vector; {mend}",
        )
    elif ef_search < _DEFAULT_EF_SEARCH:
        yield notice(
            f"hnsw.ef_search is {ef_search}, less than pgvector's own {_DEFAULT_EF_SEARCH}",
            "In psql an index misses more of the nearest photos.",
            examined.set_database("hnsw.ef_search", "100"),
        )
    else:
        yield ok(f"in psql an index gives all rows asked for (hnsw.ef_search {ef_search})")


def parallel(examined: Examined) -> Iterator[Finding]:
    """Yield whether an exact search over a large table may use several processes."""
    names = ("max_parallel_workers_per_gather", "max_parallel_workers", "max_worker_processes")
    workers = min(int(examined.setting(name)) for name in names)
    machine = examined.machine
    if workers or (machine is not None and machine.cpus < _FEWEST_CPUS):
        yield ok(f"an exact search may use {workers} parallel workers")
    elif _largest(examined) < _SCANNED_BY_SEVERAL:
        yield ok("no parallel workers, and no table that needs them")
    else:
        cpus = min(machine.cpus, 4) if machine else _FEWEST_CPUS
        yield notice(
            "an exact search uses one process alone",
            "Two workers halve its time, where there are two processors.",
            examined.set_database("max_parallel_workers_per_gather", str(cpus)),
        )


def costs(examined: Examined) -> Iterator[Finding]:
    """Yield where the planner's idea of the disk and of memory keeps it from using indexes."""
    random = float(examined.setting("random_page_cost"))
    if random > _COST_OF_A_DISK_WITH_ARMS:
        yield notice(
            f"random_page_cost is {random:g}",
            "That is right for disks with arms. On solid-state disks it keeps the planner from indexes.",
            f"on a solid-state disk: {examined.set_database('random_page_cost', '1.1')}",
        )
    else:
        yield ok(f"random_page_cost is {random:g}")
    cache = examined.setting_bytes("effective_cache_size")
    needed = max([examined.setting_bytes("shared_buffers"), *(index.bytes for index in examined.hnsw)])
    if cache < needed:
        machine = examined.machine
        value = f"{machine.memory * 5 // 8}MB" if machine else "4GB"
        yield notice(
            f"effective_cache_size is {megabytes(cache)}, less than shared_buffers or the largest HNSW index",
            "The planner believes that it is read from disk each time, and prefers scans.",
            f"five eighths of the server's memory: {examined.set_database('effective_cache_size', value)}",
        )
    else:
        yield ok(f"effective_cache_size is {megabytes(cache)}")


def jit(examined: Examined) -> Iterator[Finding]:
    """Yield whether PostgreSQL would compile an exact search before it runs."""
    above = float(examined.setting("jit_above_cost"))
    tables = examined.tables.values()
    dearest = max((table.pages + _COST_OF_A_ROW * table.rows for table in tables), default=0.0)
    compiles = examined.setting("jit") == "on" and bool(examined.value(_COMPILER))
    if compiles and 0 <= above < dearest:
        yield notice(
            "jit is on",
            "PostgreSQL compiles each exact search anew, which takes longer than it saves.",
            examined.set_database("jit", "off"),
        )
    else:
        yield ok("no search is compiled before it runs")


def _largest(examined: Examined) -> int:
    return max((table.bytes for table in examined.tables.values()), default=0)
