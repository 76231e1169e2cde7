"""`make demo`: a folder of real photos goes into a PostgreSQL of its own, and the alike ones come out.

Everything below is done by the commands that are printed; type them yourself.
"""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

from imrec_pg import settings

HERE = Path(__file__).resolve().parent.parent
PHOTOS = HERE / "demo" / "photos"
MAP = HERE / "demo" / "map.png"
SHEET = HERE / "demo" / "alike.png"
# Not the library of the user's own photos: demo photos must not turn up in its answers. Root's server runs as
# another user, who may not be able to reach this folder.
DATA = HERE / "demo" / "db"
if os.geteuid() == 0:
    name = hashlib.sha256(bytes(HERE)).hexdigest()[:8]
    DATA = settings.SERVER_HOME_AS_ROOT / f"demo-{name}"


def main() -> int:
    """Run the demo; return the exit code of the first command that fails."""
    subprocess.run([sys.executable, str(HERE / "examples" / "demo_photos.py"), str(PHOTOS)], check=True)
    astronaut = PHOTOS / "originals" / "astronaut.png"
    motorcycle = PHOTOS / "originals" / "motorcycle_left.png"
    quoted = str(motorcycle).replace("'", "''")
    natural_query = (
        "SELECT path FROM imrec.photo ORDER BY embedding <=> "  # noqa: S608 - as a person types it into psql
        f"(SELECT embedding FROM imrec.photo WHERE path = '{quoted}') LIMIT 4"
    )
    commands = [
        ("Store the photos (the first time, PostgreSQL is set up).", ["ingest", str(PHOTOS)]),
        ("What is most like the astronaut? Her altered copies.", ["search", str(astronaut)]),
        (
            "The same as a picture.",
            ["search", str(astronaut), "-k", "10", "--plot", str(SHEET), "--paths"],
        ),
        (
            "By colours: altered copies, and the other picture of a stereo pair.",
            ["search", str(motorcycle), "--feature", "histogram"],
        ),
        ("The same in SQL.", ["psql", "-c", natural_query]),
        ("All photos on a map, alike ones side by side.", ["map", "build", "--dims", "2"]),
        ("The map as a picture.", ["map", "plot", str(MAP), "--dims", "2"]),
        ("Which photos are copies of others?", ["duplicates", "find"]),
    ]
    for title, arguments in commands:
        code = _show(title, arguments)
        if code:
            return code
    print(
        f"\nThe pictures: {SHEET}\n              {MAP}\n\nTry next, with your own photos, in a library of their own:"
    )
    for line in (
        "ingest ~/Pictures",
        "search ~/Pictures/some-photo.jpg --plot alike.png",
        "status",
        "psql",
        "--help",
    ):
        print(f"  {_program()} {line}")
    print(
        "\nAll of it as a page, at http://127.0.0.1:8765/ while this runs:\n"
        f"  {_program()} serve --data {shlex.quote(str(DATA))} --open\n"
    )
    print(f"The demo's server runs on; stop it with\n  {_program()} db stop --data {shlex.quote(str(DATA))}")
    return 0


def _show(title: str, arguments: list[str]) -> int:
    print(f"\n# {title}\n$ imrec-pg {shlex.join(arguments)}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "imrec_pg", "--data", str(DATA), *arguments], check=False
    ).returncode


def _program() -> str:
    script = Path(sys.executable).parent / "imrec-pg"
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return str(script)


if __name__ == "__main__":
    sys.exit(main())
