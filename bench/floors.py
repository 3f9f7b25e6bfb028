"""How fast PostgreSQL alone answers the statements of a list: pgbench, without any Python."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, event

from bench.subjects import FULL, Case, Subjects
from models.base import connect
from services import feedback, notifications
from services.permissions import LEVEL_2, Actor, ActorKind

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def rate(
    pgbench: Path, subjects: Subjects, case: Case, *, connections: int, seconds: float
) -> float:
    """How often a second all statements of the case are answered, for so many connections."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = list(_scripts(Path(folder), subjects, case))
        command = [
            str(pgbench), "--no-vacuum", "--protocol", "prepared", "--jobs", "1",
            "--client", str(connections), "--time", str(seconds),
            *(f"--file={script}" for script in scripts), subjects.url,
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = _TPS.search(done.stdout)
    if found is None:
        raise RuntimeError(done.stdout)
    return float(found[1])


def _scripts(folder: Path, subjects: Subjects, case: Case) -> Iterator[Path]:
    """A script for each of some readers."""
    engine = connect(subjects.url, read_only=True)
    with engine.connect() as connection, psycopg.connect(subjects.url) as quoting:
        cursor = psycopg.ClientCursor(quoting)
        for number, reader in enumerate(subjects.readers[:10]):
            with _seen(connection) as seen:
                _read(connection, case, Actor(ActorKind.CITIZEN, reader, acr=LEVEL_2))
            script = folder / f"{number}.sql"
            lines = [cursor.mogrify(statement, values) for statement, values in seen]
            script.write_text("".join(f"{' '.join(line.split())};\n" for line in lines), "utf-8")
            yield script
    engine.dispose()


def _read(connection: Connection, case: Case, actor: Actor) -> None:
    if case.key == "public":
        feedback.public_reports(connection, limit=FULL)
    elif case.key == "mine":
        feedback.mine(connection, actor, limit=FULL)
    else:
        notifications.inbox(connection, actor, locale="vi", before=None, limit=FULL)


@contextmanager
def _seen(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent meanwhile, with their values."""
    seen: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        seen.append((arguments[2], arguments[3]))

    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)
