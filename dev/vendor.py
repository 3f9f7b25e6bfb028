"""Copy the browser libraries from node_modules to where the staff view serves them from.

`make setup` runs it after npm; the versions are those of package-lock.json.
"""

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
TARGET = PROJECT / "admin" / "static" / "vendor"
FILES = {"htmx.org/dist/htmx.min.js": "htmx.min.js"}


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        shutil.copyfile(PROJECT / "node_modules" / source, TARGET / name)


if __name__ == "__main__":
    main()
