"""Numbers, phones and tokens that must lie open nowhere, and where they are looked for.

Whatever the tests invent for a person is noted here. When the tests are over, the whole folder of
the database server is searched for it: tables, indexes, what was rolled back, write-ahead log and
server log. The application's own log is searched after each test.
"""

import os
import re
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg
from psycopg import sql

ISSUED: set[str] = set()
# Whose they are, by the id of the citizen, where that is known.
OWNERS: dict[str, str] = {}
# As they would stand in a line of the log.
PARALLEL = ("xargs", "--null", "--no-run-if-empty", "--max-procs=2", "--max-args=50")
GONE = ": No such file or directory"
_LONG = re.compile(r"[A-Za-z0-9_.-]{20,}|\+?[0-9]{9,}")


def issue(value: str) -> str:
    ISSUED.add(value)
    return value


def belong(owner: uuid.UUID, *values: str) -> None:
    """Note that nobody but `owner` is answered these."""
    OWNERS.update(dict.fromkeys(values, str(owner)))


def in_lines_of_the_log(text: str) -> set[str]:
    """The canaries in what the application wrote, which are the lines that hold an object."""
    lines = (line for line in text.splitlines() if line.startswith("{"))
    return {word for line in lines for word in _LONG.findall(line)} & ISSUED


def of_others(text: str, asker: str | None) -> set[str]:
    """The canaries in an answer that belong to somebody else than the citizen who asked."""
    return {word for word in _LONG.findall(text) if OWNERS.get(word, asker) != asker}


def in_folder(folder: Path) -> str:
    """The files below `folder` that hold a canary, with the canaries; empty when there are none."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as patterns:
        patterns.write("\n".join(sorted(ISSUED)) + "\n")
        patterns.flush()
        grep = ["grep", "--with-filename", "--text", "--only-matching", "--fixed-strings"]
        # Gigabytes; two at a time, as by then the other tests are over or nearly.
        done = subprocess.run(
            [*PARALLEL, *grep, f"--file={patterns.name}"],
            input="\0".join(str(path) for path in folder.rglob("*") if path.is_file()),
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
    # 123 is a grep that found nothing, too; and a server that runs takes files away meanwhile.
    failed = [line for line in done.stderr.splitlines() if not line.endswith(GONE)]
    if done.returncode not in {0, 123} or failed:
        raise RuntimeError(done.stderr)
    return done.stdout


def in_tables(url: str) -> set[str]:
    """The canaries in any table of one database, as its owner reads them.

    This is what a search of the files cannot see where values are compressed, or cut in pieces.
    """
    with tempfile.TemporaryDirectory() as made, psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (name,) in names:
            # The text shows numbers and JSON, the binary form what is inside of bytes.
            for form in ("text", "binary"):
                statement = sql.SQL("COPY {} TO STDOUT (FORMAT {})").format(
                    sql.Identifier(name), sql.SQL(form)
                )
                with (
                    Path(made, f"{name}.{form}").open("wb") as file,
                    connection.cursor().copy(statement) as rows,
                ):
                    file.writelines(rows)
        lines = in_folder(Path(made)).splitlines()
    return {line.rpartition(":")[2] for line in lines}
