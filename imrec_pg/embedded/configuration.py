"""The server's configuration, derived from the machine."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "imrec-pg.conf"
USER_FILE_NAME = "user.conf"
INCLUDES = f"""
# imrec-pg writes the first file. The second is yours, and overrides the first.
include_if_exists = '{FILE_NAME}'
include_if_exists = '{USER_FILE_NAME}'
"""
USER_FILE = f"""\
# Your own settings: imrec-pg never changes this file, and settings here override {FILE_NAME}.
"""
_CGROUPS = Path("/sys/fs/cgroup")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What the server may use.

    Attributes:
        memory: MiB; the container's limit if that is lower.
        cpus: how many this process may run on.
        shared_memory: MiB of /dev/shm, or None if there is none (macOS).
    """

    memory: int
    cpus: int
    shared_memory: int | None


def this_machine() -> Machine:
    """Return what this machine, or the container of this process, has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = memory_limit(_own_cgroups())
    shm = Path("/dev/shm")  # noqa: S108 - measured, not written
    return Machine(
        memory=(memory if limit is None else min(memory, limit)) // _MIB,
        cpus=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        shared_memory=shutil.disk_usage(shm).total // _MIB if shm.is_dir() else None,
    )


def memory_limit(own_cgroups: str, root: Path = _CGROUPS) -> int | None:
    """Return the lowest memory limit in bytes, if any, of the cgroups (v1 or v2) in /proc/self/cgroup."""
    limits: list[int] = []
    for line in own_cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # A parent's limit applies to its children; a container may see only the root of its own tree.
        folder = base / path.lstrip("/")
        tree = (level for level in (folder, *folder.parents) if level.is_relative_to(base))
        limits.extend(limit for level in tree if (limit := _read_limit(level / name)) is not None)
    return min(limits, default=None)


def configuration(machine: Machine) -> str:
    """Return the text of imrec-pg.conf for this machine; each value has its reason."""
    shared_buffers = _clamp(machine.memory // 4, 128, 8192)
    maintenance = _clamp(machine.memory // 8, 64, 2048)
    workers = 0 if machine.cpus == 1 else min(machine.cpus, 4)
    small_shm = machine.shared_memory is not None and machine.shared_memory < max(1024, maintenance + 256)
    return f"""\
# Written by imrec-pg for {machine.memory} MB of memory and {machine.cpus} CPUs; changes are lost.
# Put your own settings into {USER_FILE_NAME} beside this file: it is read after this one.

# Reachable only through the socket in a folder of mode 0700: whoever gets there needs no password.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 50

# A quarter of memory, for hot vectors and the upper HNSW layers; the system's cache holds the rest.
shared_buffers = {shared_buffers}MB
# shared_buffers and the system's cache together; makes the planner prefer indexes.
effective_cache_size = {_clamp(machine.memory * 5 // 8, 256, 1 << 20)}MB
# Per sort or hash, and up to 50 connections may each run several.
work_mem = {_clamp(machine.memory // 512, 4, 64)}MB
# An HNSW build slows down several times once its graph outgrows this: about 2.8 kB a row of 512 floats.
maintenance_work_mem = {maintenance}MB
# Else each of three vacuum workers may take as much as an index build.
autovacuum_work_mem = {min(maintenance, 128)}MB

# Exact search scans all vectors: two workers halve its time. One CPU gains nothing.
max_parallel_workers_per_gather = {workers}
max_parallel_maintenance_workers = {workers}
max_parallel_workers = {max(workers, 2) * 2}
# Reserved for what parallel workers and statistics share: faster than asking the system each time, and
# logging out (systemd's RemoveIPC) cannot delete it.
min_dynamic_shared_memory = 64MB
{_shared_memory_setting(small=small_shm)}
# Loading writes gigabytes: rare, spread checkpoints write each page once.
max_wal_size = 4GB
checkpoint_timeout = 15min
# There is no replica, and at this level an index build writes each page once, not twice.
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
# Vectors don't compress: this would cost time and save nothing.
wal_compression = off

# Solid-state disks read randomly almost as fast as in sequence.
random_page_cost = 1.1
# Compiling costs more than it saves on queries of milliseconds.
jit = off

# Else CREATE TABLE would put the user's own tables into imrec, the schema named like the role.
search_path = 'public'
# Else an index scan stops at hnsw.ef_search candidates, and LIMIT 100 in psql returns 40 rows.
hnsw.iterative_scan = strict_order
hnsw.ef_search = 100

# Log problems, not every checkpoint.
log_checkpoints = off
"""


def _shared_memory_setting(*, small: bool) -> str:
    if not small:
        return ""
    return """\
# /dev/shm is small here (64 MB in Docker), too small for a parallel index build. System V segments are in
# memory too and don't count against it; mmap would write the graph to disk.
dynamic_shared_memory_type = sysv
"""


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _own_cgroups() -> str:
    try:
        return Path("/proc/self/cgroup").read_text()
    except FileNotFoundError:
        return ""


def _read_limit(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:  # absent, or hidden by the container: no known limit
        return None
    return int(text) if text.isdecimal() else None  # v2 says "max"; v1 a number beyond all memory
