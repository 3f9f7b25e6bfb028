"""wrk makes the load; this hands it its requests and reads its figures."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent / "load.lua"
WRK = shutil.which("wrk") or "wrk"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    authorization: str = "-"
    body: str = ""


@dataclass(frozen=True)
class Figures:
    """What wrk saw; `refused` are answers of 400 or more, `broken` are connections."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Answers a second that were good."""
        return (self.requests - self.refused) / self.seconds


@dataclass
class Load:
    """A load under way."""

    process: subprocess.Popen[str]
    script: Path

    def figures(self) -> Figures:
        """Wait for the end of it."""
        out, _ = self.process.communicate()
        self.script.unlink()
        if self.process.returncode != 0:
            raise RuntimeError(out)
        return Figures(**json.loads(out.strip().splitlines()[-1]))


def begin(
    url: str,
    requests: Iterable[Request],
    *,
    connections: int,
    seconds: int,
    keep_alive: bool = True,
    run: str = "0",
) -> Load:
    """Start a load of so many connections; `run` makes the keys of its writes its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as file:
        for each in requests:
            file.write(f"{each.method}\t{each.path}\t{each.authorization}\t{each.body}\n")
    command = [
        WRK, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
        "--timeout", "10s", "--script", str(SCRIPT), url, "--",
        file.name, "keep" if keep_alive else "close", run,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Load(process, Path(file.name))


def measure(url: str, requests: Iterable[Request], *, connections: int, seconds: int) -> Figures:
    return begin(url, requests, connections=connections, seconds=seconds).figures()
