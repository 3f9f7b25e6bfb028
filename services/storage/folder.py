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
    """A folder. A reader sees the old content, the new content or none, never half of it."""

    def __init__(self, root: Path, *, reserve: int = RESERVE) -> None:
        self.root = root
        self.reserve = reserve
        self.prepare()

    def put(self, key: str, content: bytes) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)

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

    def untouched_since(self, moment: dt.datetime) -> Iterator[str]:
        with os.scandir(self.root) as folders:
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):  # It went while we looked.
                    if folder.stat().st_mtime < moment.timestamp():
                        yield folder.name

    def prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if self.root.resolve() not in path.parents:
            raise ValueError("a storage key left its folder")
        return path
