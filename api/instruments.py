"""What web processes count, and the files they share it in.

With PROMETHEUS_MULTIPROC_DIR set, every process writes its figures into files below that folder,
and api/metrics.py adds them up; without it (tests, a single process) they stay in the process.

Each web instance has a folder of its own there, since two containers may use the same process
ids. When it starts, it adds up what its earlier processes left in one file, so that counters go
on rising and the files do not grow in number.
"""

import contextlib
import fcntl
import itertools
import struct
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.mmap_dict import MmapedDict

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# What can be added up after its process is gone; the rest tells of the living.
LASTING = ("counter", "histogram")


class Metrics:
    """Requests by route template, so the number of series stays that of the routes.

    Values that did not open are counted by their column.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_seconds",
            "Time to answer",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._unreadable = Counter(
            "unreadable_values",
            "Sealed values that did not open",
            ("column",),
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_unreadable(self, column: str) -> None:
        self._unreadable.labels(column).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


@contextmanager
def own_folder(env: MutableMapping[str, str]) -> Iterator[None]:
    """Have the processes that are started now count in a folder of this instance's own.

    It is one below the shared folder that no living instance writes to, and what is in it is added
    up. Without the variable nothing is shared.
    """
    if not env.get(VARIABLE):
        yield
        return
    shared = Path(env[VARIABLE])
    shared.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = next(
            folder
            for folder in (shared / f"web-{number}" for number in itertools.count(1))
            if stack.enter_context(_claimed(folder))
        )
        with alone(shared):
            add_up(folder)
        env[VARIABLE] = str(folder)
        yield


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Whether the folder is ours, until the end; the kernel drops the claim of the dead."""
    folder.mkdir(exist_ok=True)
    with (folder / "claim").open("ab") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def add_up(folder: Path) -> None:
    """Turn the files of dead processes into one for each kind."""
    found = sorted(folder.glob("*.db"))
    for kind in LASTING:
        files = [path for path in found if path.name.startswith(f"{kind}_")]
        totals: dict[str, float] = {}
        for path in files:
            # A process that was killed while it made its file had counted nothing.
            with contextlib.suppress(struct.error):
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                    totals[key] = totals.get(key, 0.0) + value
        total = MmapedDict(str(folder / "total.new"))
        for key, value in totals.items():
            total.write_value(key, value, 0.0)
        total.close()
        (folder / "total.new").replace(folder / f"{kind}_0.db")
        for path in files:
            if path.name != f"{kind}_0.db":
                path.unlink()
    for path in found:
        if not path.name.startswith(LASTING):
            path.unlink()


@contextmanager
def alone(shared: Path) -> Iterator[None]:
    """Files are not read while they are being added up."""
    with (shared / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
