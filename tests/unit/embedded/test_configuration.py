"""The settings that the server gets on a machine."""

from pathlib import Path

import pytest

from imrec_pg.embedded.configuration import Machine, configuration, memory_limit


def settings_of(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition(" = ") for line in lines)}


def test_quarter_of_memory_for_shared_buffers_and_an_eighth_for_index_builds() -> None:
    values = settings_of(configuration(Machine(memory=4096, cpus=2, shared_memory=2048)))
    assert values["shared_buffers"] == "1024MB"
    assert values["maintenance_work_mem"] == "512MB"
    assert values["effective_cache_size"] == "2560MB"
    assert values["max_parallel_workers_per_gather"] == "2"
    assert values["listen_addresses"] == "''"
    assert "fsync" not in values


def test_large_machines_get_caps_and_small_ones_floors() -> None:
    large = settings_of(configuration(Machine(memory=512 * 1024, cpus=96, shared_memory=256 * 1024)))
    assert (large["shared_buffers"], large["maintenance_work_mem"]) == ("8192MB", "2048MB")
    assert (large["work_mem"], large["max_parallel_maintenance_workers"]) == ("64MB", "4")
    small = settings_of(configuration(Machine(memory=256, cpus=1, shared_memory=None)))
    assert (small["shared_buffers"], small["maintenance_work_mem"]) == ("128MB", "64MB")
    assert (small["work_mem"], small["max_parallel_workers_per_gather"]) == ("4MB", "0")


@pytest.mark.parametrize(("shm", "kind"), [(64, "sysv"), (1500, "sysv"), (4096, None), (None, None)])
def test_small_dev_shm_is_avoided(shm: int | None, kind: str | None) -> None:
    values = settings_of(configuration(Machine(memory=16384, cpus=2, shared_memory=shm)))
    assert values.get("dynamic_shared_memory_type") == kind


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/", {"memory.max": "1000\n"}, 1000),
        ("0::/a/b", {"a/memory.max": "2000\n", "a/b/memory.max": "max\n"}, 2000),
        ("0::/a/b", {"a/memory.max": "2000\n", "a/b/memory.max": "1500\n"}, 1500),
        ("4:memory:/x\n0::/", {"memory/memory.limit_in_bytes": "3000\n"}, 3000),
        ("4:memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, 9223372036854771712),
        ("4:cpu:/x\n0::/", {"memory.max": "max"}, None),
        ("", {}, None),
    ],
)
def test_memory_limit_of_containers(
    tmp_path: Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_limit(own, tmp_path) == limit
