"""Alembic as an operator runs it, and revisions that stand beside the real ones for a test."""

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

INI = f"""
[alembic]
script_location = {ROOT}/migrations
prepend_sys_path = {ROOT}
version_locations = {ROOT}/migrations/versions{os.pathsep}%(here)s
path_separator = os
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

from migrations import online

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    {up}


def downgrade():
    {down_body}
"""
# How a test names the address of a database that no statement is sent to.
NOWHERE = {"DATABASE_URL": "", "MIGRATION_DATABASE_URL": ""}

_started: list[subprocess.Popen] = []


def head() -> str:
    return (ROOT / "migrations" / "HEAD").read_text("utf-8").strip()


def write(folder: Path, *up: str, down: tuple[str, ...] = ("pass",), name: str = "extra") -> Path:
    """A revision after the newest one; returns the configuration that knows it."""
    body = REVISION.format(
        revision=name, down=head(), up="\n    ".join(up), down_body="\n    ".join(down)
    )
    (folder / f"{name}.py").write_text(body, "utf-8")
    ini = folder / "alembic.ini"
    ini.write_text(INI, "utf-8")
    return ini


def environment(postgres, database: str) -> dict[str, str]:
    return {
        "DATABASE_URL": postgres.url("app", database),
        "MIGRATION_DATABASE_URL": postgres.url("owner", database),
    }


def alembic(
    variables: dict[str, str], *command: str, ini: Path = ROOT / "alembic.ini"
) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "alembic", "-c", str(ini), *command],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _started.append(process)
    return process


def end_all() -> None:
    """End what a failed test left running."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
        process.communicate()


def finished(process: subprocess.Popen, seconds: float = 60) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output
