"""Photos in a local folder."""

import contextlib
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# With less room than this, somebody has to look: it is some twenty photos as they come in.
RESERVE = 256 * 1024 * 1024


class LocalStorage:
    """A folder. A reader sees the old content, the new content or none, never half of it.

    What was put outlives a power cut: not only the file is synced, but also its name, which stands
    in its folder, and the folder's own name, which stands in the one above.
    """

    def __init__(self, root: Path, *, reserve: int = RESERVE) -> None:
        self.root = root
        self.reserve = reserve
        self.prepare()

    def put(self, key: str, content: bytes) -> None:
        target = self._path(key)
        _make(target.parent)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
        _sync(target.parent)

    def get(self, key: str) -> bytes:
        return self._path(key).read_bytes()

    def behind_nginx(self, key: str) -> str:
        return key

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def delete_all(self, prefix: str) -> None:
        shutil.rmtree(self._path(prefix), ignore_errors=True)

    def is_nearly_full(self) -> bool:
        return shutil.disk_usage(self.root).free < self.reserve

    def names(self, folder: str) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path(folder)) as files:
            for file in files:
                if file.is_file():
                    yield file.name

    def untouched_since(self, moment: dt.datetime) -> Iterator[str]:
        with os.scandir(self.root) as folders:
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):  # It went while we looked.
                    if folder.stat().st_mtime < moment.timestamp():
                        yield folder.name

    def prepare(self) -> None:
        _make(self.root)

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if self.root.resolve() not in path.parents:
            raise ValueError("a storage key left its folder")
        return path


def _make(folder: Path) -> None:
    """Make it and what is missing above it, each for its owner only."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Have the names that stand in it written to the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
