"""Where bytes of photos lie: a local folder (file:///…) or an S3 store (s3://bucket/prefix)."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.storage.base import Storage, StorageUnavailable
from services.storage.folder import LocalStorage

__all__ = ["LocalStorage", "Storage", "StorageUnavailable", "open_storage"]


def open_storage(url: str, *, at_once: int = 10) -> Storage:
    """The place that STORAGE_URL names; another machine is asked `at_once` things at a time."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStorage(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        # Imported here alone, for what it weighs: 30 MB that a folder has no use for.
        from services.storage.s3 import S3Storage  # noqa: PLC0415

        return S3Storage(parts.netloc, parts.path.strip("/"), at_once=at_once)
    raise ValueError(f"STORAGE_URL has an unknown scheme: {parts.scheme!r}")
