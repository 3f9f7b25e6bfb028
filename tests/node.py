"""Programs of ours in node that drive the OpenID libraries of others."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

from tests.processes import ROOT

PROGRAMS = ROOT / "tests" / "simulators" / "node"
NODE = shutil.which("node") or ""
OLDEST = 20  # What the libraries need; Debian 12's own is older.


def needs_node(package: str) -> pytest.MarkDecorator:
    """Skip where node or this package of package.json is missing."""
    there = (ROOT / "node_modules" / package).is_dir() and _version() >= OLDEST
    reason = f"node {OLDEST} or {package} is missing; run make setup with npm"
    return pytest.mark.skipif(not there, reason=reason)


def _version() -> int:
    if not NODE:
        return 0
    said = subprocess.run([NODE, "--version"], check=True, capture_output=True, text=True).stdout
    return int(said.lstrip("v").partition(".")[0])


class Program:
    """A running program: told once what to do, then spoken with in lines of JSON."""

    def __init__(self, name: str, **task: Any) -> None:
        self.process = subprocess.Popen(
            [NODE, PROGRAMS / name, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def hear(self) -> dict[str, Any]:
        """The next thing that it says."""
        line = self.process.stdout.readline()
        assert line, f"{Path(self.process.args[1]).name} ended without a word"
        return json.loads(line)

    def tell(self, what: Any) -> None:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
