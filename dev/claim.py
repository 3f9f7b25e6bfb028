"""One running system for each data directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dev.config import Problem


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[bool]:
    """Keep every other `make run` and `make reset` off; yield whether the last run ended well.

    The kernel drops the claim when this process dies, however it dies.

    Raises:
        Problem: when the system is running.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "run.lock").open("a+") as lock:
        lock.seek(0)
        last = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(f"The system is running on {data_dir} (process {last}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield not last
        lock.truncate(0)
